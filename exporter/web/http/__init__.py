"""HTTP/1.1 on asyncio's transports, behind one `answer(Request) -> Response`: nothing in here knows a page."""
