"""How our pages look: one style, written into each of them, and the policy that lets nothing else in."""

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #667080; --paper: #fbfaf8; --line: #e4e1da; --accent: #8a4b16; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e1; --soft: #98a0ad; --paper: #15171b; --line: #2b2f37; --accent: #e8a765; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 3rem 1.25rem 5rem; max-width: 46rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 2rem; letter-spacing: -0.02em; }
h2 { margin: 2.75rem 0 0.75rem; font-size: 0.8rem; letter-spacing: 0.08em; text-transform: uppercase; color: var(--soft); }
p { margin: 0.5rem 0; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
code { font: 0.9em/1.4 ui-monospace, monospace; }
small, .soft { color: var(--soft); font-size: 0.875rem; }
dl.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); gap: 1rem; margin: 0; }
dl.figures div { border-top: 2px solid var(--line); padding-top: 0.5rem; }
dl.figures dt { color: var(--soft); font-size: 0.8rem; }
dl.figures dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
ol, ul { list-style: none; margin: 0; padding: 0; }
li { padding: 0.6rem 0; border-top: 1px solid var(--line); }
h3 { margin: 2.5rem 0 0.5rem; font: 600 1.05rem/1.3 ui-monospace, monospace; }
h3 a { color: inherit; }
h4 { margin: 1rem 0 0.25rem; font-size: 0.875rem; }
pre { margin: 0.75rem 0; padding: 0.75rem 1rem; border: 1px solid var(--line); border-radius: 6px; overflow-x: auto;
  font: 0.85rem/1.5 ui-monospace, monospace; overflow-wrap: normal; }
table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.35rem 0.75rem 0.35rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 400; color: var(--soft); }
td:first-child { white-space: nowrap; }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
