"""An API server for the tests: it lists and watches over HTTP as the recordings in tests/data/api-recordings show it.

```
 manifest -> admission -> store -> listing | watching -> answers -> whoever asks
                                                            ^
                                                     access, faults
```
Everything that is asked, and every way to go wrong, is in ApiServer; Process is the same in a process of its own, for
tests that send it signals. What it leaves out: writing over HTTP, validation, controllers (whoever wants slices puts
them), protobuf and tables, HTTP/2.
"""

from tests.apiserver.access import Access
from tests.apiserver.answers import Asked, Settings, until
from tests.apiserver.certificates import Authority, Certificate
from tests.apiserver.kubeconfig import credential_plugin, kubeconfig, service_account
from tests.apiserver.process import Process
from tests.apiserver.server import ApiServer
from tests.apiserver.store import Store
from tests.apiserver.watching import WatchList

__all__ = [
    "Access",
    "ApiServer",
    "Asked",
    "Authority",
    "Certificate",
    "Process",
    "Settings",
    "Store",
    "WatchList",
    "credential_plugin",
    "kubeconfig",
    "service_account",
    "until",
]
