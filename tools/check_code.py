"""How the exported library is written: no circle of imports, no private name imported across modules, no cell over 40 lines, no line over 140 characters.
usage: check_code.py [FOLDER], default otcxr; the exit status is 1 where something is found"""
import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

CELL, LINE = 40, 140 # longest export cell in lines, longest line in characters

def own_imports(tree, package):
    "(module of the package, imported name, line) for every import from the package itself, also inside functions"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                if a.name.startswith(f'{package}.'): yield a.name.split('.')[1], None, node.lineno
        if not isinstance(node, ast.ImportFrom): continue
        module = (node.module or '') if node.level else (node.module or '').removeprefix(package).lstrip('.') if (node.module or '').split('.')[0] == package else None
        if module is None: continue
        for a in node.names: yield module.split('.')[0] or a.name, a.name if module else None, node.lineno

def cells(source):
    "(first line, number of lines) of every cell, without blank lines around it"
    starts = [m.end() + 1 for m in re.finditer(r'^# %% .*$', source, re.M)]
    for start, text in zip(starts, re.split(r'^# %% .*$', source, flags=re.M)[1:]):
        yield source.count('\n', 0, start) + 1, len(text.strip('\n').splitlines())

def problems(folder):
    "What is wrong, a line each"
    files = [f for f in sorted(folder.glob('*.py')) if f.stem != '_modidx']
    modules = {f.stem for f in files}
    graph = {}
    for f in files:
        source = f.read_text(encoding='utf-8')
        found = list(own_imports(ast.parse(source), folder.name))
        graph[f.stem] = {m for m, _, _ in found if m in modules and m != '__init__'}
        for m, name, line in found:
            private = name and name.startswith('_') and not name.startswith('__')
            if private: yield f'{f}:{line}: imports the private name {name} of {m}: make it public there, or do without'
        for line, n in cells(source):
            if n > CELL: yield f'{f}:{line}: an export cell of {n} lines; {CELL} at most: tell it in pieces (@patch for a class)'
        for i, text in enumerate(source.splitlines(), 1):
            if len(text) > LINE: yield f'{f}:{i}: {len(text)} characters; {LINE} at most: name the parts'
    try: TopologicalSorter(graph).prepare()
    except CycleError as e: yield f'a circle of imports: {" -> ".join(reversed(e.args[1]))}'

if __name__ == '__main__':
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else 'otcxr')
    found = list(problems(folder))
    print(*found, sep='\n', end='\n' if found else '')
    print(f"{len(list(folder.glob('*.py')))} modules: no circle, no private import, cells of {CELL} lines and lines of {LINE} characters at most" if not found else f'{len(found)} problems')
    sys.exit(bool(found))
