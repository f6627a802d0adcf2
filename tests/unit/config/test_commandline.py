"""The command line: options in every spelling, and what is told about wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.config.commandline import InformationRequested, build_parser, expand
from monoceros.config.sections import SETTINGS

if TYPE_CHECKING:
    from .conftest import Configure

# All long options of Gunicorn 27.
GUNICORNS = frozenset(
    """
    --access-logfile --access-logformat --asgi-disconnect-grace-period --asgi-lifespan
    --asgi-loop --backlog --bind --ca-certs --capture-output --casefold-http-method
    --cert-reqs --certfile --chdir --check-config --ciphers --config --control-socket
    --control-socket-mode --daemon --dirty-app --dirty-graceful-timeout --dirty-threads
    --dirty-timeout --dirty-workers --disable-redirect-access-to-syslog
    --do-handshake-on-connect --dogstatsd-tags --enable-backlog-metric
    --enable-stdio-inheritance --env --error-logfile --forwarded-allow-ips --forwarder-headers
    --graceful-timeout --group --header-map --help --http-parser --http-protocols
    --http2-cleartext --http2-initial-window-size --http2-max-concurrent-streams
    --http2-max-frame-size --http2-max-header-list-size --initgroups --keep-alive --keyfile
    --limit-request-field_size --limit-request-fields --limit-request-line --log-config
    --log-config-json --log-file --log-level --log-syslog --log-syslog-facility
    --log-syslog-prefix --log-syslog-to --logger-class --max-requests --max-requests-jitter
    --name --no-control-socket --no-sendfile --paste --paste-global --paster
    --permit-obsolete-folding --permit-unconventional-http-method
    --permit-unconventional-http-version --pid --preload --print-config --protocol
    --proxy-allow-from --proxy-protocol --pythonpath --reload --reload-engine
    --reload-extra-file --reuse-port --root-path --spew --ssl-version --statsd-host
    --statsd-prefix --strip-header-spaces --suppress-ragged-eofs --threads --timeout --umask
    --user --uwsgi-allow-from --version --websocket-max-message-size --worker-class
    --worker-connections --worker-tmp-dir --workers
    """.split()  # noqa: SIM905
)
SHORT = ["-b", "-c", "-D", "-e", "-g", "-h", "-k", "-m", "-n", "-p", "-R", "-t", "-u", "-v", "-w"]


def options() -> list[str]:
    parser = build_parser("monoceros")
    return [flag for action in parser._actions for flag in action.option_strings]


def beginnings(flag: str) -> list[str]:
    return [flag[:length] for length in range(3, len(flag))]


def test_every_option_of_gunicorn_is_there() -> None:
    assert set(GUNICORNS) | set(SHORT) <= set(options())


@pytest.mark.parametrize("flag", sorted(GUNICORNS))
def test_what_is_unmistakable_for_gunicorn_stays_so(flag: str) -> None:
    known = options()
    assert expand([flag, f"{flag}=x"], known) == [flag, f"{flag}=x"]
    for short in beginnings(flag):
        if short not in GUNICORNS and [f for f in GUNICORNS if f.startswith(short)] == [flag]:
            assert expand([short, f"{short}=x"], known) == [flag, f"{flag}=x"]


def test_our_own_options_may_be_shortened_too() -> None:
    known = options()
    ours = sorted({*known} - {*GUNICORNS, *SHORT})
    assert "--body-timeout" in ours
    for flag in ours:
        for short in beginnings(flag):
            if short not in known and [one for one in known if one.startswith(short)] == [flag]:
                assert expand([short], known) == [flag]


def test_what_is_mistakable_stays_as_it_is() -> None:
    words = ["--work", "--limit-request-fi", "--", "-w", "app:app", "--wrong"]
    assert expand(words, options()) == words


def test_options_stand_before_and_after_the_application(configure: Configure) -> None:
    for argv in (
        ["-w", "5", "--graceful", "6", "a:b"],
        ["a:b", "-w5", "--graceful=6"],
        ["-w", "5", "a:b", "ignored", "--graceful-timeout", "6"],
    ):
        cfg = configure(argv=argv)
        assert (cfg.app_uri, cfg.workers, cfg.graceful_timeout) == ("a:b", 5, 6)


def test_short_options_stand_together(configure: Configure) -> None:
    cfg = configure(argv=["-DRw4", "-b:1", "-b:2", "a:b"])
    assert (cfg.daemon, cfg.enable_stdio_inheritance, cfg.workers) == (True, True, 4)
    assert cfg.bind == [":1", ":2"]


@pytest.mark.parametrize(
    "flags",
    [one.cli for one in SETTINGS if len(one.cli) > 1 and not one.kind.flag],
    ids=lambda flags: str(flags[-1]),
)
def test_every_spelling_of_an_option_means_the_same(flags: tuple[str, ...]) -> None:
    parser = build_parser("monoceros")
    first, *others = [vars(parser.parse_args([flag, "x"])) for flag in flags]
    assert [one for one in others if one != first] == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--xyz"], "unrecognized arguments: --xyz\n"),
        (["--wokers", "3"], "unrecognized arguments: --wokers (did you mean --workers?)\n"),
        (["--keepalive=3"], "--keepalive=3 (did you mean --keep-alive?)\n"),
        (["--preload-app"], "--preload-app (did you mean --preload?)\n"),
        (["--worker=3"], "--worker=3 (did you mean --workers?)\n"),
        (["--body-"], "--body- (which of --body-memory-limit, --body-min-rate, --body-spool-limit"),
        (["--log"], "--log (which of --log-config, --log-config-json, --log-file, --log-format"),
        (["--bogus"], "unrecognized arguments: --bogus\n"),
        (["--debug", "a:b"], "unrecognized arguments: --debug\n"),
        (["a:b", "-w", "1", "c:d"], "unrecognized arguments: c:d\n"),
        (["-w"], "argument -w/--workers: expected one argument\n"),
        (["--reload=1"], "argument --reload: ignored explicit argument '1'\n"),
    ],
)
def test_a_wrong_option_ends_with_2(
    argv: list[str], message: str, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in ({"argv": argv}, {"environ": {"GUNICORN_CMD_ARGS": " ".join(argv)}}):
        with pytest.raises(SystemExit) as caught:
            configure(**given)
        assert caught.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        name = "monoceros" if "argv" in given else "monoceros (GUNICORN_CMD_ARGS)"
        assert err.startswith(f"{name}: error: ")
        assert message in err
        assert "\n'monoceros --help' lists the usual options" in err


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (["-h"], "help"),
        (["--hel"], "help"),
        (["--help-a"], "help-all"),
        (["-v"], "version"),
        (["--ver", "--wrong"], "version"),
        (["-w", "3", "a:b", "--help"], "help"),
    ],
)
def test_questions(argv: list[str], what: str, configure: Configure) -> None:
    with pytest.raises(InformationRequested) as caught:
        configure(argv=argv)
    assert caught.value.what == what
