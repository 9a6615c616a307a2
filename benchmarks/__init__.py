"""Speed, memory and quality as tables: `python -m benchmarks [NAME ...] [--data DIR]`.

Each benchmark is a function of a `Context` that returns measurements and sections of text, in a module by its subject;
`suite.py` lists them. What the published system reached stands in `published.py`.
"""
