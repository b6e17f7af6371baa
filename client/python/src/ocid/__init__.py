# SPDX-License-Identifier: Apache-2.0
"""Hand transfers to the local `ocid` daemon and follow them; see Client."""

from ._model import Ack, Outcome, Row, Status
from .client import VERSION as __version__
from .client import Client, Job
from .errors import *
from .errors import OcidError

__all__ = ["Ack", "Client", "Job", "OcidError", "Outcome", "Row", "Status", "__version__"]
