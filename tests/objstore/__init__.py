# SPDX-License-Identifier: Apache-2.0
"""The test store: Oracle Object Storage as far as `ocid` and Oracle's own tools use it.

`python -m objstore --help` runs one by hand; `objstore.Store` runs one in a test. It checks
every signature from the raw request, keeps bodies on disk and misbehaves on request.
"""

from .client import Store
from .profile import Profile
from .tls import make_certificates

__all__ = ["Profile", "Store", "make_certificates"]
