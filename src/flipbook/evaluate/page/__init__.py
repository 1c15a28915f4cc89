"""How do the files of a report become one page that needs nothing beside it?

files of a folder -> ReportFiles (`files`) -> tables, charts and cards -> HTML (`write`)
"""
