// Look at pages of the site as a reader does: node look_site.js MODULES BROWSER BASE PAGE [...]; prints one line of JSON for each thing that is wrong
const { createRequire } = require('module')
const need = createRequire(process.argv[2] + '/')
const puppeteer = need('puppeteer-core'), axe = require('fs').readFileSync(need.resolve('axe-core/axe.min.js'), 'utf8')
const [browserPath, base, ...pages] = process.argv.slice(3)
const WIDTHS = [390, 1400], SCHEMES = ['light', 'dark']
const say = (where, what) => console.log(JSON.stringify({ where, what }))

// what axe-core finds against WCAG 2 A and AA on the page, or on a part of it
async function accessible(page, where, part = 'document') {
  const found = await page.evaluate(`axe.run(${part}, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'], resultTypes: ['violations']})`)
  for (const v of found.violations) {
    const first = v.nodes[0]
    say(where, `${v.id}: ${v.nodes.length} x ${first.html.slice(0, 120)}: ${(first.any[0] || first.all[0] || first.none[0] || {}).message || v.help}`)
  }
}

// what is wider than the screen must scroll in a box of its own, not with the page
const wide = () => document.documentElement.scrollWidth > window.innerWidth + 1
  ? [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1 && getComputedStyle(e).position !== 'absolute').slice(0, 1).map(e => e.outerHTML.slice(0, 100))
  : []

// search by keyboard: '/' leads there, words give results, arrows choose, Enter opens
async function search(page, where) {
  await page.keyboard.press('/')
  await page.keyboard.type('sinkhorn')
  try { await page.waitForSelector('.search-result', { timeout: 15000 }) } catch { return say(where, 'search by keyboard: no result for "sinkhorn"') }
  await page.keyboard.press('ArrowDown')
  if (!await page.$('.search-result.active')) say(where, 'search by keyboard: an arrow chooses no result')
  await accessible(page, `${where}, search results`, "document.querySelector('.smalldocs-search-results')")
  await Promise.all([page.waitForNavigation({ timeout: 15000 }), page.keyboard.press('Enter')]).catch(() => say(where, 'search by keyboard: Enter opens no page'))
}

// a figure to touch: a patch chosen with the keys, or pointed at, changes what is said; it fits its frame, and wears the page's mode
async function viewer(page, where, scheme, wanted) {
  const handle = await page.$('iframe[srcdoc]'), frame = handle && await handle.contentFrame()
  if (!frame || !await frame.$('#said')) return wanted && say(where, 'viewer: it is not there')
  const said = () => frame.$eval('#said', e => e.textContent)
  await frame.focus('.view.s .cell[tabindex="0"]')
  const first = await said(), [i, n] = await frame.evaluate(() => [+document.activeElement.dataset.cell, document.querySelectorAll('.view.s .cell').length])
  await page.keyboard.press(i < n/2 ? 'ArrowDown' : 'ArrowUp')
  const second = await said()
  if (second === first || !/^Patch [A-Z]\d+ of view s/.test(second)) say(where, `viewer: an arrow key chooses no patch: ${second}`)
  await page.keyboard.press('Tab')
  if (!/of view t/.test((await said()).split(/[:,.]| holds/)[0])) say(where, 'viewer: Tab does not lead to the other view')
  const before = await said()
  for (let k = 0; k < 20 && !(await said()).startsWith('Patch A1 of view s'); k++) {      // the page may still be scrolling there
    await frame.hover('.view.s .cell[data-cell="0"]')
    await new Promise(done => setTimeout(done, 100))
  }
  if (!(await said()).startsWith('Patch A1 of view s')) say(where, 'viewer: pointing at a patch shows nothing')
  await page.mouse.move(1, 1)
  await new Promise(done => setTimeout(done, 100))
  if (await said() !== before) say(where, 'viewer: what was chosen does not come back')
  const look = await frame.evaluate(() => [getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth > innerWidth + 1, document.documentElement.scrollHeight > innerHeight + 1])
  if (look[1] || look[2]) say(where, `viewer: ${look[1] ? 'wider' : 'higher'} than its frame`)
  if ((look[0].match(/\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) < 384) !== (scheme === 'dark')) say(where, `viewer: ${look[0]} is not ${scheme}`)
  await frame.evaluate(axe)
  await accessible(frame, `${where}, viewer`)
  await page.evaluate(() => document.activeElement.blur())
}

(async () => {
  const browser = await puppeteer.launch({ executablePath: browserPath, headless: true, args: ['--no-sandbox', '--disable-gpu'] })
  for (const scheme of SCHEMES) for (const width of WIDTHS) for (const name of pages) {
    const where = `${name}, ${width} px, ${scheme}`, page = await browser.newPage()
    page.on('console', m => { if (m.type() === 'error') say(where, `console: ${m.text()} ${(m.location() || {}).url || ''}`) })
    page.on('pageerror', e => say(where, `script: ${e.message}`))
    page.on('requestfailed', r => say(where, `not loaded: ${r.url()}`))
    await page.setViewport({ width, height: 900 })
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
    await page.goto(base + name, { waitUntil: 'networkidle0' })
    const dark = await page.evaluate(() => document.documentElement.classList.contains('quarto-dark'))
    if (dark !== (scheme === 'dark')) say(where, `the page is ${dark ? 'dark' : 'light'}`)
    for (const e of await page.evaluate(wide)) say(where, `wider than the screen: ${e}`)
    await page.evaluate(axe)
    await accessible(page, where)
    await viewer(page, where, scheme, name.endsWith('plan_viewer.html'))
    if (name === pages[0] && width > 1000) await search(page, where)
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name.replace(/\W/g, '-')}-${width}-${scheme}.png`, fullPage: false })
    await page.close()
  }
  await browser.close()
})().catch(e => { say('browser', e.message); process.exit(1) })
