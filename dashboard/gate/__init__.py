"""Who comes in: the door of every route, proxies, sessions, uploads, headers, and who sits in front of a page."""
