"""The status page of a port server: who has which port, as a page, as JSON and as metrics.

It runs in a thread of its own, which never takes more than a small share of a processor. Only
who asks for it loads this, and what it is made with: the extra ``[status]``.
"""
