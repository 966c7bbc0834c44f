"""What each command of the command line takes, does and says."""
