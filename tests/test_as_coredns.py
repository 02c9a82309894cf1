"""CoreDNS's command line, in the words of ours."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from clusterdns import __version__
from clusterdns.cli import main
from clusterdns.commands.as_coredns import is_meant, translated

CASES = {
    "-conf /etc/coredns/Corefile": "serve --corefile /etc/coredns/Corefile",
    "-conf=/etc/coredns/Corefile": "serve --corefile /etc/coredns/Corefile",
    "--conf x": "serve --corefile x",
    "-conf stdin": "serve --corefile /dev/stdin",
    "-conf x -dns.port 1053": "serve --corefile x --corefile-port 1053",
    "-dns.port=1053 -conf x": "serve --corefile-port 1053 --corefile x",
    "-p 1053": "serve --corefile Corefile --corefile-port 1053",
    "-conf x -pidfile /run/x.pid -quiet": "serve --corefile x --pid-file /run/x.pid --quiet",
    "-quiet=true -conf x": "serve --corefile x --quiet",
    "-quiet=F -conf x": "serve --corefile x",
    "-conf x --listen 127.0.0.1:53 -h": "serve --corefile x --listen 127.0.0.1:53 -h",
    "-conf x -nonsense -quiet": "serve --corefile x -nonsense -quiet",
    "-conf x -version": "--version",
    "-version=false -conf x": "serve --corefile x",
}


@pytest.mark.parametrize(("given", "expected"), CASES.items())
def test_means_the_same(given: str, expected: str) -> None:
    assert is_meant(given.split())
    assert list(translated(given.split()).arguments) == expected.split()


@pytest.mark.parametrize(
    "given", ["", "serve --corefile x", "--version", "--help", "-h", "check -conf", "--nonsense", "conf"]
)
def test_what_is_ours_stays(given: str) -> None:
    assert not is_meant(given.split())


def test_flags_of_its_logging_do_nothing() -> None:
    found = translated(["-logtostderr", "-v=5", "-alsologtostderr=false", "-stderrthreshold", "INFO", "-conf", "x"])
    assert list(found.arguments) == ["serve", "--corefile", "x"]
    assert found.unused == ["-logtostderr", "-v", "-alsologtostderr", "-stderrthreshold"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [("-conf", "Option '-conf' requires an argument."), ("-quiet=maybe", "'maybe' is neither true nor false")],
)
def test_wrong_use(given: str, reason: str) -> None:
    with pytest.raises(click.UsageError, match=reason):
        translated(given.split())


class TestTheCommand:
    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ("-conf", "Option '-conf' requires an argument."),
            ("-conf x -nonsense", "No such option '-n'"),
            ("-conf x extra", "Got unexpected extra argument (extra)"),
            ("-conf x -p 99999", "99999 is not in the range 0<=x<=65535"),
            ("-p=1053", "Corefile:1: expected a file: No such file or directory"),
        ],
    )
    def test_wrong_use_is_told(
        self, given: str, reason: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path_factory.mktemp("nothing"))
        result = CliRunner().invoke(main, given.split())
        assert result.exit_code == 2
        assert reason in result.stderr

    def test_the_version(self) -> None:
        result = CliRunner().invoke(main, ["-version"], prog_name="clusterdns")
        assert (result.exit_code, result.output) == (0, f"clusterdns {__version__}\n")

    def test_the_plugins(self) -> None:
        result = CliRunner().invoke(main, ["-plugins"])
        assert result.exit_code == 0
        lines = result.output.splitlines()
        assert lines[:2] == ["Server types:", "  dns"]
        assert {"  dns.kubernetes", "  dns.forward", "  dns.log"} < {*lines}
        assert "  dns.trace" not in lines, "it is passed over"

    def test_what_does_nothing_is_told(self) -> None:
        result = CliRunner().invoke(main, ["-v=2", "-plugins"])
        assert result.stderr == "clusterdns: -v: it does nothing here\n"
