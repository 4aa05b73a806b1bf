"""The second source: mediarithmics, whose platform calls an external feed over HTTP."""
