"""Look at the finished site in a browser: light and dark, on a phone and on a desk.

usage: look_site.py SITE [PAGE ...]

A handful of pages is opened in headless Chromium at 390 and 1,400 px, in both modes. axe-core looks for WCAG 2 A and AA
(contrast of text among it), and this for errors in the console, for what is wider than the screen, and for a search that
works by keyboard, as does the figure to touch. Chromium is the one of $CHROMIUM, of the machine, or, for root on Debian,
installed with apt-get; puppeteer-core and axe-core come from npm. Exit status 77 where no browser can be had.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGES = ['index.html', 'compare.html', 'tutorials/quickstart.html', 'otcxr.html', 'metrics.html', 'paper/transport_plan.html', 'paper/plan_viewer.html']
PACKAGES = ['puppeteer-core@25.16.0', 'axe-core@4.14.1']
BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        if self.path == '/favicon.ico': self.send_response(204); self.end_headers(); return
        super().do_GET()

def find_browser():
    "The path of a Chromium; None where there is none and none can be installed"
    found = os.environ.get('CHROMIUM') or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found or not shutil.which('apt-get') or os.geteuid(): return found
    for command in (['update', '-qq'], ['install', '-y', '-qq', '--no-install-recommends', 'chromium']):
        subprocess.run(['apt-get', *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=os.environ | {'DEBIAN_FRONTEND': 'noninteractive'}, check=False)
    return shutil.which('chromium')

def look(site, pages, browser):
    "What is wrong, a line each"
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix='otcxr-look-') as tmp:
        subprocess.run(['npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', tmp, *PACKAGES], check=True, stdin=subprocess.DEVNULL)
        command = ['node', str(Path(__file__).with_suffix('.js')), tmp, browser, f'http://127.0.0.1:{server.server_port}/', *pages]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    server.shutdown()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode and not found: raise SystemExit(f'the browser did not start: {done.stderr[-2000:]}')
    return [f'{f["where"]}: {f["what"]}' for f in found]

def main():
    if len(sys.argv) < 2: raise SystemExit(__doc__)
    site, pages = Path(sys.argv[1]), sys.argv[2:] or PAGES
    browser = find_browser()
    if not browser:
        print('no Chromium: install one, or name it in $CHROMIUM')
        return 77
    missing = [p for p in pages if not (site/p).exists()]
    found = [f'{p} is not there' for p in missing] + look(site, [p for p in pages if p not in missing], browser)
    for f in found: print('PROBLEM:', f)
    print(f'{len(pages)} pages at 390 and 1,400 px, light and dark: {len(found)} problems')
    return int(bool(found))

if __name__ == '__main__': sys.exit(main())
