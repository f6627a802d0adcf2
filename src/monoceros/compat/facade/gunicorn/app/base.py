"""The application classes that programs with a server of their own subclass."""

from monoceros.compat.application import Application as Application
from monoceros.compat.application import BaseApplication as BaseApplication
