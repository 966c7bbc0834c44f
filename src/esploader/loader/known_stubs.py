"""The stubs of Espressif that are known, by the SHA-256 of their files.

They are those of esp-flasher-stub (https://github.com/espressif/esp-flasher-stub, MIT OR
Apache-2.0), as they are in the folder ``esptool/targets/stub_flasher/2`` of the source archives
of esptool 5.2.0 to 5.6.0; the README there names the version. That the files on the release
page are the same, byte by byte, is known of one of them: ``esp32s3.json`` of v1.2.2, whose
SHA-256 on that page others have written down.

After a new release of esptool: ``python tests/support/stub_hash_table.py ARCHIVE ...``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LICENCE: Final = "MIT OR Apache-2.0"
"""That of all of them; the older ones, in folder 1, are GPL and no concern of this package."""

ESPTOOL_VERSIONS: Final = {
    "v0.2.0": "5.2.0",
    "v0.8.1": "5.3.0",
    "v1.0.0": "5.3.1",
    "v1.2.2": "5.4.0",
    "v1.4.0": "5.5.0",
    "v1.4.1": "5.6.0",
}
"""Which esptool came with them, by their version; the latest last."""

LATEST: Final = "v1.4.1"

KNOWN_STUBS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "esp32": {
        "f1270953d6c62220fe6c45321cb60e5b23976824d439ebe01e19d392fff9021e": ("v0.2.0",),
        "341d9ec4000c73e3155ada19724fd66515b6e1fbbb5a004c017fc3e0f7d1f0ce": (
            "v0.8.1",
            "v1.0.0",
        ),
        "d615e54e50af5ac7348393cca5d8edb369df9840b2ace5d07a86c40d28e39bea": (
            "v1.2.2",
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32c2": {
        "7799ebb1cdcc06840087faa3c1eac23bcae28baa6b798526a14d986e3aadfb39": ("v0.2.0",),
        "f169131314b2618422a1cab1eec8fefb8a6c960b78e3912c87fe839242b037e1": (
            "v0.8.1",
            "v1.0.0",
        ),
        "5d098f981742fad65a1fea606ddf0cb2a0772685bb35d3a0009029e6a7a07869": ("v1.2.2",),
        "90ab18ea7df3ff982f399f9bf764668b9187d4c6aad6f071d43e6b7df208a233": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32c3": {
        "950def867248edb83c53fda78e262f0553c0605ed96a241fefbf6e5a32186a60": ("v0.2.0",),
        "937b949458b3099912a483ca88aae62262fd86e940253834d428bee7888c76be": (
            "v0.8.1",
            "v1.0.0",
        ),
        "8d342da995f01240c8671937f290757bf67bdf4bb818b022539e8e40bf61623a": ("v1.2.2",),
        "946b19aa447bd04ad9db232dec074e139c08541abc3f1b3baa279418855e0871": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32c5": {
        "d679e494dff5f37f73af01e0077131b5dc9d2dedd37fd9631bae269314adc879": ("v0.2.0",),
        "c58be655aff94b0852fdbc23d849984611dd002d88493be23479c82b991ea0c4": (
            "v0.8.1",
            "v1.0.0",
        ),
        "fe53ce4ad53f68bf1f8f5b4fcd17d4b6608334bb1dbda78b200b1d1f902e4bba": ("v1.2.2",),
        "fabf2861138988b9c431776eafbe6e8ffaed4a32961811f58c1013007c18527d": ("v1.4.0",),
        "b7ca2d6e7acd64fd0a02d99e755b2e29c96df55470bffd294f457a9b22d17f01": ("v1.4.1",),
    },
    "esp32c6": {
        "a24e38b4c497e34275c3a7bf3bcebd0a5c48841b3bb63c5e6cfee4be916a1067": ("v0.2.0",),
        "959ca3b5a9983f92435e8a2ae5a6244af736ea7fc6e8a6f007427f46fca6cdb9": (
            "v0.8.1",
            "v1.0.0",
        ),
        "a326f564fa8fe3ec69c1c17a9dd2df8918da1e37b44004019a643f5f181b8b27": ("v1.2.2",),
        "66a943da9d4ed0da631b2c1fe62d30a64afafcab6202e78de9a82244b7f715d0": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32c61": {
        "1e0e2c498414bb9a9bffecbb5b7e8a3fe77fa992b1dfd7e25df58710c2013357": ("v0.2.0",),
        "3926fd286869f1ff7215bde71ee6e5bba3908e857fdbd7ebfbeb7ebec5fa6ba1": (
            "v0.8.1",
            "v1.0.0",
        ),
        "308a86cc02cac95a86cf73e4a92d37a6cfc3249117a9b4836ce2c408142adde5": ("v1.2.2",),
        "6f524ec4f51649e2594e2bf9f8377aadc33bd8fed27078e8569b1d2d89640923": ("v1.4.0",),
        "178783ff4265343fd9c48e9f5f97c78a358b0c124a82b3bf3892b95f3ee7ec72": ("v1.4.1",),
    },
    "esp32h2": {
        "5b4398df5bc5941d5f789a85850815fc362e232f42742814ee30b2174bbfea9f": ("v0.2.0",),
        "f7d4dac99a72e0f221ccdc4d02d53d93f4aa180cc960fd271a7886f0b8a36f92": (
            "v0.8.1",
            "v1.0.0",
        ),
        "9d075440137dd7c71ed185bb933b69d54aadf5a08b714e03831cec77d80990f9": (
            "v1.2.2",
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32h21": {
        "da6edc06beece78c35e6912ca0e2d94083d4597ea546a391840c52485de293d0": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32h4": {
        "e0ba3232741f8292c10c4b6d30e07e064908a82494a9f8368527250fcc24921b": ("v0.2.0",),
        "a1bc196caa17925a31a08d8949af3c9e3e35f7dfa6a796452acb8947a0c33539": (
            "v0.8.1",
            "v1.0.0",
        ),
        "0171cae0e91388b0a5f9f5cf8d1ff85983fd1e83847ba10cd54547098c10c6cc": ("v1.2.2",),
        "e16fed8a3f2a1b805f7e124ab03fd29107f9e51ceb1df0c65fd6405d137e3675": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32p4": {
        "ff4b47ff60da420d248b9bf08ad5d47ea2d64a6ab5477ba09c8802af79fd3b96": ("v0.2.0",),
        "90004c3555952e84fbdb04543db28b1bac685f9c752211779efdaf52c7d83b7e": (
            "v0.8.1",
            "v1.0.0",
        ),
        "8cae9e8aec3de3433394cc347ebe49f54d21fcfc04e088a404bca5ae0eb07870": ("v1.2.2",),
        "a02e35fe802cc70bebc837b461a5b8350ccee924d53cbc29203602a80b99bd4a": ("v1.4.0",),
        "c32f75a32cc8b99a2ff17c14d3ed96e785f0523ccf6218efce7056e13f00c820": ("v1.4.1",),
    },
    "esp32p4-rev1": {
        "607dd76d9b3e1e8338eb81e128dff84d84217214f1427e18f507d98d4a946617": ("v0.2.0",),
        "699f3325261227894035eee8c07f214d9b9f8db9f1f878798cf3fda93d810c19": (
            "v0.8.1",
            "v1.0.0",
        ),
        "3bd974a1c18d147835f3c8c9cc024e528529fafeb716cd5820966b030305ba52": ("v1.2.2",),
        "eb62e15af457c18181ddf075b5efa4ac344a0df455dd00b00a4c253f4ac1761f": ("v1.4.0",),
        "e76e4535febf079ec517352adf21fdd9aa0b796f76f07641fab4d0073eb7d1f8": ("v1.4.1",),
    },
    "esp32s2": {
        "173369471508f6985b9776e355c832e8b486d03396297bcc1cf871063d5dab8d": ("v0.2.0",),
        "dc4cf7d141a17e387cbc73110e7b62ef5c4863e6d0f17e72456271b4b1fe1291": (
            "v0.8.1",
            "v1.0.0",
        ),
        "98154bb724806a41f798e91ef842ab2768350d2c8e57ebd110a3502663dc41dd": ("v1.2.2",),
        "79644275b5db42c70941b69514f2785449fc85c1d6a9c89bc2cc4dc361e8e583": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32s3": {
        "e3e37c26602dca90a97e03d690f83a17501ed403a3b912618f587b7955dcdf63": ("v0.2.0",),
        "eefc2fc988afdc6ee77e93650f0ee5d6374cbb349b3daf205ce5e5e2c009e863": (
            "v0.8.1",
            "v1.0.0",
        ),
        "8816e0611701e8f7396a9fee9d1d33bc2021751bf24bda54560fb87c62de3f0b": ("v1.2.2",),
        "767c0ef61d864bb9524c52a2fa7ff5b144598c8df729b2cd31e84d8785e2d65b": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp32s31": {
        "d814a688e6d52fc7993000c331b462c1fe0b2fea7c8a29db8c23d7a89b48c721": (
            "v0.8.1",
            "v1.0.0",
        ),
        "20212eb5e0637200edbc1d31080e450dc76ac56b3d619809614bf122f64ffc29": ("v1.2.2",),
        "bccb338d09714d35283048936056adc2ba4d2172a694ad1f79a08ed04cc242ad": (
            "v1.4.0",
            "v1.4.1",
        ),
    },
    "esp8266": {
        "94e1512b5da121d0e4323fe06dd9d196db0167905f5143fa4cfe370b0d6a278b": ("v0.2.0",),
        "c2b6edf885ff8472ded79f7aa9fbadd0905cb75f130b13ee316da70c59069176": (
            "v0.8.1",
            "v1.0.0",
        ),
        "9ce821527ecb67224bf19cf78bef45a4de5b5f03ac08f100daf8de32499972e3": (
            "v1.2.2",
            "v1.4.0",
            "v1.4.1",
        ),
    },
}
"""By chip, or by what a file without its ending is called: by SHA-256: the versions with it."""
