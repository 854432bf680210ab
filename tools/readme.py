"Make README.md from nbs/index.ipynb and CONTRIBUTING.md from nbs/contributing.ipynb, as nbdev-readme does, but without Quarto.  usage: readme.py [--check]"
import argparse
import base64
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
DOCS = 'https://otcxr.github.io/otcxr/'
IMAGES = 'index_files'
CALLOUTS = {'note': 'NOTE', 'tip': 'TIP', 'important': 'IMPORTANT', 'warning': 'WARNING', 'caution': 'CAUTION'}

def page_of(notebook):
    "The page that a notebook becomes: paper/00_a.ipynb -> paper/a.html"
    p = Path(notebook)
    return p.with_name(re.sub(r'^\d+[a-zA-Z0-9]*_', '', p.stem) + '.html').as_posix()

def callout(match):
    "A callout div of the site as an alert of GitHub"
    lines = match[2].strip().splitlines()
    if lines and lines[0].startswith('## '): lines = [f'**{lines[0][3:]}**', '', *lines[1:]]
    return '\n'.join(f'> {line}'.rstrip() for line in [f'[!{CALLOUTS[match[1]]}]', *lines])

def markdown(source):
    source = re.sub(r'^::: ?\{\.callout-(\w+)[^}]*\}\n(.*?)^:::$', callout, source, flags=re.M | re.S)
    return re.sub(r'\]\(((?!https?:)[\w./-]+\.ipynb)', lambda m: f']({DOCS}{page_of(m[1])}', source)

def plain(text):
    "Markdown as the words that are read aloud"
    text = re.sub(r'!?\[([^\]]*)\]\([^)]*\)', r'\1', text)
    text = re.sub(r'\\(?:mathrm|mathbf|mathcal|text)\{([^}]*)\}', r'\1', text)
    text = re.sub(r'[$*`{}]|\\(?=[a-zA-Z])', '', text)
    return ' '.join(text.split())

def sentences(text): return re.split(r'(?<=[.:?!])\s+(?=[A-Z])', text)

def alt_text(cells, i):
    "What the picture of cell `i` shows, in words: its `#| fig-alt`, else its caption (the paragraph right after it), else what announces it"
    own = re.search(r'^#\| *fig-alt: *(.+)$', cells[i].source, flags=re.M)
    if own: return own[1].strip(' "')
    after = cells[i + 1].source.strip() if i + 1 < len(cells) and cells[i + 1].cell_type == 'markdown' else ''
    if after and after[0] not in '#|-:$<': return ' '.join(sentences(plain(after.split('\n\n')[0]))[:2])
    before = next((c.source for c in reversed(cells[:i]) if c.cell_type == 'markdown'), '')
    paragraphs = [p for p in before.split('\n\n') if p and p[0] not in '|:$<']
    return ' '.join(sentences(plain(paragraphs[-1].lstrip('#> ')))[-2:]).rstrip(':') if paragraphs else ''

def output(out, images, alt=''):
    "One output of a cell as Markdown; pictures are collected in `images`"
    if out.output_type == 'stream': return f'```\n{out.text.rstrip()}\n```' if out.name == 'stdout' else ''
    data = out.get('data', {})
    if 'image/png' in data:
        images.append(base64.b64decode(data['image/png']))
        return f'![{alt}]({IMAGES}/figure-{len(images)}.png)'
    if 'text/markdown' in data: return markdown(data['text/markdown'])
    return f"```\n{data['text/plain'].rstrip()}\n```" if 'text/plain' in data else ''

def convert(name):
    "(Markdown, its pictures) of the notebook `name`"
    nb = nbformat.read(ROOT/'nbs'/f'{name}.ipynb', 4)
    parts, images = [f'<!-- Made from nbs/{name}.ipynb by tools/readme.py: edit the notebook, not this file. -->'], []
    for i, cell in enumerate(nb.cells):
        if cell.cell_type == 'markdown': parts.append(markdown(cell.source))
        if cell.cell_type != 'code': continue
        flags = re.findall(r'^#\| *(.+?) *$', cell.source, flags=re.M)
        if 'hide' in flags or any(f.startswith('default_exp') for f in flags): continue
        code = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M).strip()
        if code and 'echo: false' not in flags: parts.append(f'```python\n{code}\n```')
        parts += filter(None, (output(o, images, alt_text(nb.cells, i)) for o in cell.outputs))
    return '\n\n'.join(p.strip() for p in parts) + '\n', images

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='write nothing, exit 1 when a file is out of date')
    check = parser.parse_args().check
    text, images = convert('index')
    files = {ROOT/'README.md': text.encode(), ROOT/'CONTRIBUTING.md': convert('contributing')[0].encode(), **{ROOT/IMAGES/f'figure-{i}.png': b for i, b in enumerate(images, 1)}}
    stale = [p for p, b in files.items() if not p.exists() or p.read_bytes() != b] + [p for p in (ROOT/IMAGES).glob('*') if p not in files]
    for p in stale:
        print('out of date:' if check else 'written:', p.relative_to(ROOT))
        if check: continue
        p.parent.mkdir(exist_ok=True)
        p.write_bytes(files[p]) if p in files else p.unlink()
    return int(check and bool(stale))

if __name__ == '__main__': sys.exit(main())
