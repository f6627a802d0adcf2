"""Settings of the site."""

import os

SITE = __name__.rpartition(".")[0]
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "not used")
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = f"{SITE}.urls"
WSGI_APPLICATION = f"{SITE}.wsgi.application"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_TZ = True
PROFILE = os.environ.get("DJANGO_PROFILE", "default")
