# SPDX-License-Identifier: Apache-2.0
"""Hand transfers to the local `ocid` daemon and follow them; see Client, and aio.Client.

With the extra `fsspec` other libraries read and write ocid://BUCKET/OBJECT; see OcidFileSystem.
"""

from __future__ import annotations

import importlib
from typing import Any

from ._model import Ack, Limit, Outcome, Row, Status
from .client import VERSION as __version__
from .client import Client, Job, JobSet
from .errors import *
from .errors import OcidError

__all__ = ["Ack", "Client", "Job", "JobSet", "Limit", "OcidError", "Outcome", "Row", "Status",
           "__version__"]


_LATER = {"OcidFileSystem": ".fs", "take_oci": ".fs", "progress": "._bars"}


def __getattr__(name: str) -> Any:
    """What brings other libraries with it is imported when it is used."""
    if name in ("aio", "fs", "notebook"):
        return importlib.import_module(f".{name}", __name__)
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module 'ocid' has no attribute '{name}'")


def load_ipython_extension(shell: Any) -> None:
    """%load_ext ocid"""
    from . import notebook
    notebook.load(shell)
