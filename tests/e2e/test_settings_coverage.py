"""No setting is accepted and then does nothing: where it is shown that each one does something."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from monoceros.config.sections import SETTINGS

ROOT = Path(__file__).parents[2]

# Settings by the test that shows a running server, or the command, to be another one by them.
SHOWN = {
    "tests/e2e/test_access_log.py::test_file_is_reopened_without_a_loss": "accesslog",
    "tests/e2e/test_capacity.py::test_connections_are_never_more_than_allowed": (
        "worker_connections"
    ),
    "tests/e2e/test_overload.py::test_what_has_waited_too_long_is_answered_503": "queue_timeout",
    "tests/e2e/test_overload.py::test_queue_is_as_long_as_it_may_be": "max_queue",
    "tests/e2e/test_refused_uploads.py::test_too_large_upload_is_refused_unread": (
        "limit_request_body"
    ),
    "tests/e2e/test_settings_logs.py::test_access_log": "access_log_format access_log_skip",
    "tests/e2e/test_settings_logs.py::test_files": "errorlog capture_output loglevel",
    "tests/e2e/test_settings_logs.py::test_logconfig": "logconfig",
    "tests/e2e/test_settings_logs.py::test_logger_of_my_own": "logger_class",
    "tests/e2e/test_settings_logs.py::test_logs_elsewhere": (
        "syslog syslog_addr syslog_prefix syslog_facility disable_redirect_access_to_syslog "
        "statsd_host statsd_prefix dogstatsd_tags log_format"
    ),
    "tests/e2e/test_settings_processes.py::test_where_the_application_runs": (
        "config wsgi_app chdir pythonpath raw_env worker_class worker_tmp_dir default_proc_name "
        "max_requests_jitter"
    ),
    "tests/e2e/test_settings_processes.py::test_where_the_server_listens": "workers backlog umask",
    "tests/e2e/test_settings_processes.py::test_servers_share_a_port": "reuse_port",
    "tests/e2e/test_settings_processes.py::test_threads_run_the_application": "threads",
    "tests/e2e/test_request_timeout.py::test_sync_is_replaced": "request_timeout",
    "tests/e2e/test_settings_requests.py::test_bodies_wait_where_they_are_told_to": (
        "body_memory_limit body_spool_limit tmp_upload_dir pre_request post_request"
    ),
    "tests/e2e/test_settings_requests.py::test_leniency": (
        "permit_missing_host permit_obsolete_folding strip_header_spaces "
        "permit_unconventional_http_method permit_unconventional_http_version "
        "casefold_http_method header_map"
    ),
    "tests/e2e/test_settings_requests.py::test_limits_and_trust": (
        "limit_request_line limit_request_fields limit_request_field_size limit_request_head "
        "forwarded_allow_ips secure_scheme_headers forwarder_headers"
    ),
    "tests/e2e/test_settings_requests.py::test_nothing_is_buffered_or_sent_by_the_kernel": (
        "request_buffering sendfile"
    ),
    "tests/e2e/test_timeouts.py::test_body_below_the_minimum_rate_is_answered_408": "body_min_rate",
    "tests/e2e/test_timeouts.py::test_idle_connection_is_closed_after_keepalive": "keepalive",
    "tests/e2e/test_timeouts.py::test_reader_that_takes_nothing_is_cut": "write_timeout",
    "tests/e2e/test_timeouts.py::test_slow_heads_are_answered_408": "header_timeout",
    "tests/e2e/test_timeouts.py::test_stalled_bodies_are_answered_408": "body_timeout",
    "tests/process/test_arbiter_hooks.py::test_a_whole_life": (
        "nworkers_changed on_starting when_ready pre_fork post_fork post_worker_init worker_exit "
        "child_exit on_exit"
    ),
    "tests/process/test_arbiter_hooks.py::test_quick_stop": "worker_int",
    "tests/process/test_arbiter_hooks.py::test_reload": "on_reload",
    "tests/process/test_arbiter_hooks.py::test_timeout": "worker_abort",
    "tests/process/test_arbiter_life.py::test_graceful_timeout_ends_what_does_not_finish": (
        "graceful_timeout"
    ),
    "tests/process/test_arbiter_stop.py::test_lame_duck": "shutdown_delay",
    "tests/process/test_arbiter_life.py::test_pid_file": "pidfile",
    "tests/process/test_arbiter_life.py::test_preloaded_app_is_imported_once_in_the_arbiter": (
        "preload_app"
    ),
    "tests/process/test_arbiter_life.py::test_several_addresses": "bind",
    "tests/process/test_handoff.py::test_reload_switches_it_off_and_on": "connection_handoff",
    "tests/process/test_recycling.py::test_leaking_worker_is_replaced": "max_memory",
    "tests/process/test_recycling.py::test_lifetime": "max_worker_lifetime",
    "tests/process/test_recycling.py::test_much_too_large_worker_is_killed": "max_memory_hard",
    "tests/process/test_recycling.py::test_worker_serves_on_until_its_successor_is_ready": (
        "max_requests"
    ),
    "tests/process/test_replacement_steps.py::test_one_more_at_a_time": "reload_surge",
    "tests/process/test_code_reload.py::test_edit_break_and_mend": "reload reload_engine",
    "tests/process/test_code_reload.py::test_what_is_a_change": "reload_extra_files",
    "tests/process/test_finding.py::test_paste": "paste",
    "tests/process/test_process_daemon.py::test_a_whole_life": "daemon",
    "tests/process/test_process_daemon.py::test_inherited_output": "enable_stdio_inheritance",
    "tests/process/test_process_identity.py::test_names": "compat proc_name",
    "tests/process/test_process_insight.py::test_metrics_of_the_arbiter": "enable_backlog_metric",
    "tests/process/test_process_insight.py::test_spew": "spew",
    "tests/process/test_process_privileges.py::test_initgroups": "initgroups",
    "tests/process/test_process_privileges.py::test_workers_become_the_user": "user group",
    "tests/process/test_upgrade.py::test_upgrade": "pre_exec",
    "tests/process/test_timeouts_tell.py::test_each_hang_is_told_and_the_others_serve": "timeout",
    "tests/process/test_timeouts_tell.py::test_import_that_hangs_is_ended": "boot_timeout",
    "tests/e2e/test_asgi.py::test_a_call_that_does_not_listen_is_cancelled": (
        "asgi_disconnect_grace_period"
    ),
    "tests/e2e/test_asgi.py::test_a_message_may_be_too_large": "websocket_max_message_size",
    "tests/e2e/test_asgi.py::test_a_websocket_that_answers_no_ping_is_closed": (
        "websocket_ping_interval websocket_ping_timeout"
    ),
    "tests/e2e/test_asgi.py::test_loops": "asgi_loop",
    "tests/e2e/test_asgi.py::test_messages_are_compressed_where_that_is_wanted": (
        "websocket_per_message_deflate"
    ),
    "tests/e2e/test_asgi.py::test_no_lifespan": "asgi_lifespan",
    "tests/e2e/test_asgi.py::test_root_path": "root_path",
    "tests/e2e/test_asgi.py::test_streams_get_their_time": "stream_grace",
    "tests/unit/config/test_kinds.py::test_without_control_socket_its_settings_are_not_looked_at": (
        "control_socket_disable"
    ),
    "tests/unit/log/test_logconfig.py::test_precedence": "logconfig_dict logconfig_json",
    "tests/unit/test_cli.py::test_check_config": "check_config",
    "tests/unit/test_cli.py::test_http_parser_chooses_the_twin": "http_parser",
    "tests/unit/test_cli.py::test_print_config": "print_config",
    "tests/unit/test_cli.py::test_print_config_as_an_object": "print_format",
    "tests/unit/test_paste.py::test_the_application_of_a_file": "raw_paste_global_conf",
}

# Short options may stand together, as in -DR.
SPELLINGS = {
    setting.name: "|".join(
        [rf"\b{setting.name}\b"]
        + [flag if flag.startswith("--") else rf"-\w*{flag[1]}\b" for flag in setting.cli]
    )
    for setting in SETTINGS
}


@cache
def read_tests(path: str) -> dict[str, str]:
    """Return the tests of a file with the file's source after their names."""
    source = (ROOT / path).read_text()
    tree = ast.parse(source)
    return {node.name: source for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_setting_is_shown() -> None:
    shown = [name for names in SHOWN.values() for name in names.split()]
    missing = [setting.name for setting in SETTINGS if setting.missing]
    assert len(shown) == len(set(shown))
    assert sorted([*shown, *missing]) == sorted(setting.name for setting in SETTINGS)


@pytest.mark.parametrize("test", SHOWN)
def test_the_test_is_there_and_uses_the_settings(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in read_tests(path)
    source = read_tests(path)[name]
    for setting in SHOWN[test].split():
        assert re.search(SPELLINGS[setting], source), setting
