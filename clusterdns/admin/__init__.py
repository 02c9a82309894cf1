"""The admin socket of a running server: where it is, what is said over it, and how it is asked.

It is HTTP, read only, for whoever may be that user on that machine; each line of an answer is a value in JSON. `http`
serves it, `app` says what it shows.
"""

from clusterdns.admin.asking import NoServer, Refused, ask
from clusterdns.admin.place import AUTOMATIC, NOWHERE, OF_THE_MACHINE, Place, parse, usual_places

__all__ = ["AUTOMATIC", "NOWHERE", "OF_THE_MACHINE", "NoServer", "Place", "Refused", "ask", "parse", "usual_places"]
