"""The WSGI side of a worker: settings in, a Core that serves the application out."""
