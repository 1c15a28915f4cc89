"""How does a look at some records become one page that needs nothing beside it?

row -> Card (`cards`, with `frames` and `pieces`) -> HTML (`write`, page.html, page.css, page.js)
"""
