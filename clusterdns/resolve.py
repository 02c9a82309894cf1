"""Answers that take more than one look: aliases are followed, and short names completed, through ours and theirs.

A name is the cluster's or a hosts file's, else a zone file's, else an upstream's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from clusterdns import names
from clusterdns.answer import LONGEST_CHAIN, answer
from clusterdns.cache import NEVER
from clusterdns.names import Name
from clusterdns.nodes import EmptyNonTerminal, Nothing, ServiceName
from clusterdns.queries import FormatError
from clusterdns.records import Answer, Question, Rcode, Reason, ReasonCode, Record, Type
from clusterdns.search import SearchList, rest_of_list, rest_of_search
from clusterdns.zones import ServedZones

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterdns.elsewhere import Elsewhere, Remembered
    from clusterdns.index import Index
    from clusterdns.itself import Client, Itself
    from clusterdns.names import Address
    from clusterdns.nodes import Node
    from clusterdns.responses import Response, Terms


_ABOUT_ZONES = frozenset({Type.NS, Type.SOA, Type.DS, Type.DNSKEY})


class Searching(Struct, frozen=True):
    """What is done here of what a client's resolver does with names that are not complete."""

    cluster: SearchList | None = None
    """Short names are completed to names of ours."""
    host: SearchList | None = None
    """After that they are completed to names that an upstream knows."""
    autopath: bool = False
    """Whether a pod's first try is followed through the rest of its search list."""
    host_domains: tuple[Name, ...] = ()
    """What a pod's search list has behind the cluster's domains."""
    client_domains: tuple[Name, ...] = ()
    """The search list of every client, whose first try is followed through the rest of it."""
    path_zones: frozenset[Name] = frozenset({names.ROOT})
    """Only first tries in these are followed."""

    @property
    def follows_first_tries(self) -> bool:
        return self.autopath or bool(self.client_domains)


class Resolver:
    def __init__(
        self, index: Index, elsewhere: Elsewhere, searching: Searching, zones: ServedZones | None = None
    ) -> None:
        self.elsewhere = elsewhere
        self.searching = searching
        self.zones = ServedZones() if zones is None else zones
        self.whole_server: Itself | None = None
        """Whom aliases are followed through, if more than zones and upstreams may answer names of others."""
        self.own_block: Itself | None = None
        """The same for the names that a search list leads to."""
        self._index = index

    def ours(self, name: Name) -> Node | None:
        """The node that has the say about a name; None if nothing here has.

        What is missing in a zone that falls through is the business of whoever is asked next.
        """
        node = self._index.find(name)
        if node is None or not node.zone.hands_on(name) or not self._index.is_synced:
            return node
        is_missing = isinstance(node, Nothing) or (isinstance(node, ServiceName) and node.is_missing)
        return None if is_missing and self._is_served(name) else node

    def _is_served(self, name: Name) -> bool:
        return self.zones.serves(name) or self.elsewhere.serves(name)

    def serial(self, name: Name) -> int | None:
        """As of when a name is known not to be ours: the index's serial if that may change with the cluster, else None.

        NEVER if the host's search list comes before whatever is remembered of the name itself.
        """
        if self.is_for_host(name) or self.client_path(name) is not None:
            return NEVER
        is_short = self.searching.cluster is not None and self.searching.cluster.is_short(name)
        return self._index.serial if is_short or self._index.find(name) is not None else None

    # Search lists

    def completed(self, question: Question) -> Answer | None:
        """The answer to a short name that one of the search list's domains makes a name of ours.

        Types that are about zones are meant as they are: nobody's search list is for the name servers of `com`.
        """
        if self.searching.cluster is None or question.qtype in _ABOUT_ZONES:
            return None
        for candidate in self.searching.cluster.completions(question.name):
            node = self._index.find(candidate)
            if node is not None and _has_records(node):
                return self._alias_to_ours(question, candidate, node)
        return None

    def path(self, name: Name, client: Address) -> Iterable[Name] | None:
        """What a pod would ask for next, if the name is the first that it asks for; None if it is not known to be."""
        if not self._is_in_path_zones(name):
            return None
        if self.searching.client_domains:
            return self.client_path(name)
        for zone in self._index.zones if self.searching.autopath else ():
            found = rest_of_search(name, zone.name, self.searching.host_domains)
            if found is not None:
                namespace, candidates = found
                return candidates if self._index.namespace_of_client(client) == namespace else None
        return None

    def client_path(self, name: Name) -> Iterable[Name] | None:
        """What any client would ask for next, if there is a search list that all of them have."""
        if not self.searching.client_domains or not self._is_in_path_zones(name):
            return None
        return rest_of_list(name, self.searching.client_domains)

    def _is_in_path_zones(self, name: Name) -> bool:
        return not self.searching.path_zones.isdisjoint((name, *names.ancestors(name)))

    async def walk(self, question: Question, candidates: Iterable[Name], terms: Terms, client: Client) -> Answer | None:
        """The answer for the first of these names that exists; None if none does.

        A name exists whatever its type: so A and AAAA, asked for apart, lead to the same one. An upstream that fails
        ends the walk, since what it might have said decides.
        """
        for candidate in candidates:
            node = self.ours(candidate)
            if node is None and not (self.own_block or self._is_served(candidate)):
                continue
            if node is None:
                asked = Question(candidate, question.qtype)
                end = await self._through(self.own_block, asked, terms, client)
                if end is None or end.rcode == Rcode.NXDOMAIN:
                    continue
                if end.rcode != Rcode.NOERROR:
                    return end
                return await self.follow(question, _behind_alias(question.name, candidate, end), terms, client)
            if _has_records(node):
                return await self.follow(question, self._alias_to_ours(question, candidate, node), terms, client)
        return None

    def is_for_host(self, name: Name) -> bool:
        """Whether the host's resolver would complete a name before it asks for it as it is."""
        return self.searching.host is not None and self.searching.host.is_short(name)

    async def completed_for_host(self, question: Question, terms: Terms, client: Client) -> Answer | None:
        """The answer to a name that one of the domains of the host's search list completes."""
        if self.searching.host is None:
            return None
        return await self.walk(question, self.searching.host.completions(question.name), terms, client)

    # Aliases

    async def follow(self, question: Question, found: Answer, terms: Terms, client: Client) -> Answer:
        """An answer, together with what its aliases lead to, for the client that asks."""
        records, target, end = list(found.records), found.onward, found
        while target is not None:
            aliases = [each.owner for each in records if each.rtype == Type.CNAME]
            if target in aliases or len(aliases) > LONGEST_CHAIN:
                text = f"{names.to_text(question.name)} leads in a circle, or on over too many names"
                return replace(
                    end, records=tuple(records), authority=(), onward=None, settled=False, reason=Reason(text)
                )
            asked = Question(target, question.qtype)
            node = self.ours(target)
            if node is None:
                end = await self._through(self.whole_server, asked, terms, client) or _NOBODYS
            else:
                end = answer(asked, node, self._index)
            if end.rcode == Rcode.SERVFAIL:
                return end
            records = list(dict.fromkeys((*records, *end.records)))  # they may have led back to where we are
            target = end.onward
        return replace(end, records=tuple(records), authoritative=found.authoritative, settled=False)

    def leads_to_ours(self, response: Response) -> bool:
        """Whether a response ends with an alias to a name of ours, which only we can follow."""
        return response.leads_to is not None and self._index.find(response.leads_to) is not None

    async def follow_response(self, question: Question, found: Remembered, terms: Terms, client: Client) -> Answer:
        return await self.follow(question, self._as_answer(found.response, found.age), terms, client)

    def _alias_to_ours(self, question: Question, target: Name, node: Node) -> Answer:
        return _behind_alias(
            question.name, target, answer(Question(target, question.qtype), node, self._index), node.zone.ttl
        )

    async def _through(self, itself: Itself | None, asked: Question, terms: Terms, client: Client) -> Answer | None:
        """What the server would say to a client that asked for a name that is not ours; None if it is nobody's."""
        if itself is None:
            return await self._from_elsewhere(asked, terms)
        said = await itself.ask(asked, terms, client)
        return None if said is None or _is_nobodys(said) else self._as_answer(said, 0)

    async def _from_elsewhere(self, asked: Question, terms: Terms) -> Answer:
        written = self.zones.answer(asked, dnssec_ok=terms.dnssec_ok) if self.zones else None
        if written is not None:
            return written
        if not self.elsewhere.serves(asked.name):
            return _NOBODYS
        found = await self.elsewhere.find(asked, terms, serial=self.serial(asked.name))
        return self._as_answer(found.response, found.age)

    def _as_answer(self, response: Response, age: int) -> Answer:
        try:
            records, authority = response.records(age)
        except FormatError as error:
            reason = Reason(f"an upstream's response can not be read: {error}")
            return Answer(rcode=Rcode.SERVFAIL, authoritative=False, settled=False, reason=reason)
        return Answer(
            rcode=response.rcode,
            records=tuple(records),
            authority=() if response.is_data else tuple(each for each in authority if each.rtype == Type.SOA),
            authoritative=False,
            settled=False,
            reason=response.reason,
            onward=response.leads_to if self.leads_to_ours(response) else None,
        )


_NOBODYS = Answer(authoritative=False, settled=False)


def _is_nobodys(said: Response) -> bool:
    """Whether that is all there is to say of a name: a client is refused, or told so with SERVFAIL."""
    return said.rcode == Rcode.REFUSED or (said.reason is not None and said.reason.code == ReasonCode.NOT_AUTHORITATIVE)


def _has_records(node: Node) -> bool:
    """Whether a name is one of somebody, and neither missing nor there only for what is below it."""
    if isinstance(node, ServiceName):
        return not node.is_missing
    return not isinstance(node, Nothing | EmptyNonTerminal)


def _behind_alias(alias: Name, target: Name, end: Answer, ttl: int | None = None) -> Answer:
    """An answer to the alias, which is made up here."""
    if ttl is None:
        ttl = min((each.ttl for each in (*end.records, *end.authority)), default=0)
    records = (Record(alias, Type.CNAME, ttl, target), *end.records)
    return replace(end, records=records, settled=False)
