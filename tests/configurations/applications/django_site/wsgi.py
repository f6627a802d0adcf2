"""The WSGI application of the site."""
# mypy: disable-error-code="import-untyped, import-not-found"

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{__name__.rpartition('.')[0]}.settings")

application = get_wsgi_application()
