"""The settings ``logconfig_dict``, ``logconfig_json`` and ``logconfig``: the first one counts."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.config
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError
from monoceros.log import outputs
from monoceros.log.defaults import CONFIG_DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monoceros.config import Config


def apply(cfg: Config) -> None:
    """Configure ``logging`` as the settings ask for; raises ConfigError."""
    if cfg.logconfig_dict:
        _apply_dict(cfg, "logconfig_dict", cfg.logconfig_dict)
    elif cfg.logconfig_json:
        _apply_dict(cfg, "logconfig_json", _read_json(cfg, cfg.logconfig_json))
    elif cfg.logconfig:
        _apply_file(cfg, cfg.logconfig)
    for handler in set(outputs.all_handlers()):
        if isinstance(handler, logging.FileHandler):
            with contextlib.suppress(OSError):
                outputs.give_handler(handler, cfg.uid, cfg.gid)


def _apply_dict(cfg: Config, name: str, given: Mapping[str, object]) -> None:
    try:
        logging.config.dictConfig({**CONFIG_DEFAULTS, **given})
    except Exception as error:  # border: the dict names the user's classes
        value = cfg.logconfig_json if name == "logconfig_json" else "..."
        raise _refuse(cfg, name, value, _reason(error)) from error


def _read_json(cfg: Config, path: str) -> Mapping[str, object]:
    try:
        found = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise _refuse(cfg, "logconfig_json", path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _refuse(cfg, "logconfig_json", path, f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise _refuse(cfg, "logconfig_json", path, "not an object")
    return found


def _apply_file(cfg: Config, path: str) -> None:
    defaults = {
        "__file__": path,
        "here": str(Path(path).absolute().parent),
    }
    parser = ConfigParser({name: text.replace("%", "%%") for name, text in defaults.items()})
    try:
        parser.read_string(Path(path).read_text(encoding="utf-8"), path)
        logging.config.fileConfig(parser, disable_existing_loggers=False)
    except OSError as error:
        raise _refuse(cfg, "logconfig", path, error.strerror or str(error)) from error
    except Exception as error:  # border: the file holds expressions and names the user's classes
        raise _refuse(cfg, "logconfig", path, _reason(error)) from error


def _reason(error: BaseException) -> str:
    texts = [f"{type(error).__name__}: {error}"]
    if error.__cause__ is not None:
        texts.append(f"{type(error.__cause__).__name__}: {error.__cause__}")
    return ", from ".join(texts)


def _refuse(cfg: Config, name: str, value: object, reason: str) -> ConfigError:
    allowed = {
        "logconfig_dict": "a dict for logging.config.dictConfig",
        "logconfig_json": "a JSON file for logging.config.dictConfig",
        "logconfig": "a file for logging.config.fileConfig",
    }
    return ConfigError(
        f"Invalid value for {name}: {value if value == '...' else repr(value)} ({reason}). "
        f"Allowed: {allowed[name]}. Set in: {cfg.origin(name)}."
    )
