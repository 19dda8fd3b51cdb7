"""The authority's and the internet's name servers (BIND): zone files and configurations.

One server is authoritative for a root of the lab's own and for every zone below it, so a resolver that starts at this
root never meets an address outside. Another is the hidden primary of the authority's response policy zone (RPZ).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.names import BIND_ADDRESS, HOSTS, NAME_SERVER, NORTE_KEY, RPZ_ZONE, UPDATER_KEY

_TTL_SECONDS = 300
_SOA = f"SOA {NAME_SERVER}. hostmaster.precinto.test. 1 3600 600 86400 30"

# A daemon that runs as any user in a folder of its own: no files in /run, no control channel, no DNSSEC keys of the
# real root, and a cache sized for a dozen names (the default reserves for most of the machine's memory).
PRIVATE_OPTIONS = """
    pid-file none; session-keyfile none; lock-file none;
    listen-on-v6 { none; }; dnssec-validation no; max-cache-size 16m;
    query-source address 127.0.0.1; notify-source 127.0.0.1; transfer-source 127.0.0.1;
    use-v4-udp-ports { range 40000 60000; };"""


def named_arguments(program: str, configuration: Path) -> list[str]:
    """How ``named`` is run: in the foreground, log on standard error, one thread, IPv4."""
    return [program, "-g", "-4", "-n", "1", "-c", str(configuration)]


def key_clause(name: str, secret: str) -> str:
    """A TSIG key (RFC 8945) as ``named.conf`` has it; ``secret`` is base64."""
    return f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'


def write_authoritative(folder: Path, port: int) -> Path:
    """Root, one zone per host, and the zone of the name server itself; returns the configuration's path."""
    zones = {host.name: f"@ A {host.address}\n* A {host.address}\n" for host in HOSTS}
    zones["precinto.test"] = f"ns A {BIND_ADDRESS}\n"
    cuts = "".join(f"{zone}. NS {NAME_SERVER}.\n" for zone in zones)
    zones["."] = f"{NAME_SERVER}. A {BIND_ADDRESS}\n{cuts}"
    clauses: list[str] = []
    for zone, records in zones.items():
        file = folder / f"{'root' if zone == '.' else zone}.zone"
        file.write_text(f"$TTL {_TTL_SECONDS}\n@ {_SOA}\n@ NS {NAME_SERVER}.\n{records}")
        clauses.append(f'zone "{zone}" {{ type primary; file "{file.name}"; notify no; }};\n')
    configuration = folder / "named.conf"
    configuration.write_text(f"""options {{
    directory "{folder}";{PRIVATE_OPTIONS}
    listen-on port {port} {{ {BIND_ADDRESS}; }};
    recursion no; allow-query {{ any; }}; allow-transfer {{ none; }};
    minimal-responses yes;
}};
controls {{ }};
{"".join(clauses)}""")
    return configuration


def write_rpz_primary(folder: Path, port: int, secondary_port: int, secrets: dict[str, str]) -> Path:
    """The hidden primary: the updater's key may change the zone, the ISP's key may transfer it, and nothing else.

    The defaults would be wrong by a minute: ``notify-delay`` is 5 s, and a change must reach the ISP at once.
    """
    zone = folder / "rpz.zone"
    zone.write_text(f"$TTL 60\n@ SOA {NAME_SERVER}. hostmaster.precinto.test. 1 60 30 1209600 60\n@ NS localhost.\n")
    configuration = folder / "named.conf"
    configuration.touch(mode=0o600)
    keys = "".join(key_clause(name, secret) for name, secret in secrets.items())
    configuration.write_text(f"""{keys}options {{
    directory "{folder}";{PRIVATE_OPTIONS}
    listen-on port {port} {{ {BIND_ADDRESS}; }};
    recursion no; allow-query {{ any; }};
    notify-delay 0; notify-rate 200; startup-notify-rate 200; serial-query-rate 200;
    provide-ixfr yes; max-ixfr-ratio unlimited;
}};
controls {{ }};
zone "{RPZ_ZONE}" {{
    type primary; file "{zone.name}"; max-journal-size 64m;
    update-policy {{ grant "{UPDATER_KEY}" zonesub ANY; }};
    allow-transfer {{ key "{NORTE_KEY}"; }};
    notify explicit; also-notify {{ {BIND_ADDRESS} port {secondary_port} key "{NORTE_KEY}"; }};
}};
""")
    return configuration


def zones_of_the_lab() -> Sequence[str]:
    """Every zone that the authoritative server holds, the root first."""
    return (".", "precinto.test", *(host.name for host in HOSTS))
