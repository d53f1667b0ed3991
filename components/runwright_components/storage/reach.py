"""Which addresses an HTTP source may reach: the guard against server-side request forgery (CWE-918).

Whoever writes a TrainingRun chooses an address that a pod of the cluster then asks. So in a cluster only public
addresses are asked, unless the administrator allows more; the metadata services of clouds, which hand out credentials,
are asked nowhere. The addresses that a name stands for are looked up once, here, and the caller connects to these very
addresses: an answer of DNS that changes in between changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from runwright_components.contract.outcome import Reason, StageError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Iterable[str]]  # host and port to the addresses that the host stands for

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA = tuple(
    ip_network(one)
    for one in (
        "169.254.0.0/16",  # link-local: AWS, Azure, Google, OpenStack, ECS, EKS
        "fe80::/10",
        "fd00:ec2::254/128",  # AWS
        "fd20:ce::254/128",  # Google
        "168.63.129.16/32",  # Azure
        "100.100.100.200/32",  # Alibaba
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, deprecated


def look_up(host: str, port: int) -> list[str]:
    """The addresses of `host` by the machine's resolver. Raises OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Reach:
    """`private`: whether addresses that are not public may be reached (one's own machine), or those in `allowed` alone:
    networks (10.1.0.0/16), addresses, hosts (data.example.com) and all hosts below a domain (*.example.com)."""

    private: bool = True
    allowed: tuple[str, ...] = ()
    resolve: Resolve = look_up

    def addresses(self, host: str, port: int, *, where: str) -> list[str]:
        """The addresses of `host` that may be connected to.

        Raises StageError: SourceDenied when there is none, SourceUnavailable when the name is not known.
        """
        bare = host.rstrip(".").lower()
        if bare in _METADATA_NAMES:
            raise _denied(f"{host} is a metadata service", where)
        try:
            found = [ip_address(one) for one in self.resolve(host, port)]
        except (OSError, UnicodeError) as error:
            raise StageError(
                Reason.SOURCE_UNAVAILABLE,
                f"cannot reach the server: {host} is not known ({error})",
                where=where,
                cure="check the address and the network's DNS",
            ) from error
        refused = {address: self.refusal(bare, address) for address in found}
        if found and all(refused.values()):
            raise _denied(next(why for why in refused.values() if why), where)
        return [str(address) for address, why in refused.items() if not why]

    def check_known(self, host: str, port: int, *, where: str) -> None:
        """Raise SourceDenied as `addresses` does. A name that this machine does not know passes: somebody else (a
        proxy, a client of its own) looks it up, and it is their part to refuse what it hides."""
        try:
            self.addresses(host, port, where=where)
        except StageError as error:
            if error.reason is not Reason.SOURCE_UNAVAILABLE:
                raise

    def refusal(self, host: str, address: Address) -> str:
        """Why `address`, which `host` stands for, may not be connected to; empty when it may."""
        shown = f"{host}, at {address}," if host != str(address) else host
        for one in _meanings(address):
            if self._allows_network(one):
                continue
            if any(one in network for network in _METADATA if network.version == one.version):
                return f"{shown} is link-local or a metadata service"
            if not (self.private or _is_public(one) or self._allows_host(host)):
                return f"{shown} is not a public address"
        return ""

    def _allows_network(self, address: Address) -> bool:
        networks = [ip_network(one, strict=False) for one in self.allowed if _is_network(one)]
        return any(address in network for network in networks if network.version == address.version)

    def _allows_host(self, host: str) -> bool:
        names = [one.lower() for one in self.allowed if not _is_network(one)]
        return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in names)


OWN_MACHINE = Reach()
"""What a person's own machine may reach: all but metadata services."""


def _meanings(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 address that an IPv6 one carries: a gateway may turn the one into the other."""
    if isinstance(address, IPv4Address):
        yield address
        return
    carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.ipv4_mapped is None:
        yield address
    yield from (one for one in carried if one is not None)


def _is_public(address: Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not site_local


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _denied(what: str, where: str) -> StageError:
    return StageError(
        Reason.SOURCE_DENIED,
        f"{what} and is not asked for data",
        where=where,
        cure="give a public address, put the data into object storage, or let an administrator of the cluster add the"
        " host to run.sources.allowed of the chart",
    )
