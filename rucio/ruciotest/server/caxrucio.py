"""The Rucio server as a WSGI application, with what a test wants to steer.

- The subject of a client certificate comes in a header, from the TLS front that
  has verified it; Rucio looks for it where Apache's mod_ssl puts it.
- The lifetime of new tokens, an hour, is read from a file if there is one.
"""
import os
from datetime import datetime, timedelta

from rucio.db.sqla import models
from rucio.web.rest.main import application as rucio

LIFETIME = os.environ['CAX_RUCIO_TOKEN_LIFETIME']


def expires(_context=None):
    try:
        with open(LIFETIME) as file:
            seconds = float(file.read())
    except FileNotFoundError:
        seconds = 3600
    return datetime.utcnow() + timedelta(seconds=seconds)


models.Token.__table__.c.expired_at.default.arg = expires


def application(environ, start_response):
    subject = environ.pop('HTTP_X_CAX_SUBJECT', None)
    if subject:
        environ['SSL_CLIENT_S_DN'] = subject
    return rucio(environ, start_response)
