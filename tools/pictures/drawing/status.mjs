// Do with the status page in Chromium what a person does, look for what a person would stumble over, and take its pictures.
//   node status.mjs --troubled URL --refused URL --thousand URL --simulator URL --process PID --link URL --pictures FOLDER
// Run by `make test-status`, which starts the exporters. Ends with 1 where something was found.
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import puppeteer from 'puppeteer-core';

const { values: options } = parseArgs({
  options: {
    troubled: { type: 'string' },
    refused: { type: 'string' },
    thousand: { type: 'string' },
    simulator: { type: 'string' },
    process: { type: 'string' },
    link: { type: 'string' },
    pictures: { type: 'string' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});
const AXE = await readFile(join(import.meta.dirname, 'node_modules/axe-core/axe.min.js'), 'utf-8');
const LARGEST_PICTURE = 150_000;
const WIDTHS = [400, 1280];
const SCHEMES = ['light', 'dark'];
const REFRESH = 30_000;

let findings = 0;
function check(holds, what, detail) {
  if (!holds) findings += 1;
  console.log(`${holds ? 'ok    ' : 'FOUND '} ${what}${holds || detail === undefined ? '' : `: ${JSON.stringify(detail)}`}`);
}

async function until(condition, what, seconds = 30) {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    if (await condition()) return check(true, what);
    await new Promise((done) => setTimeout(done, 100));
  }
  check(false, `${what} (not within ${seconds} s)`);
}

const browser = await puppeteer.launch({
  executablePath: options.chromium,
  protocolTimeout: 60_000,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--lang=en-US'],
});

// A page whose clock a test can put forward; everything that goes wrong in it is kept.
async function opened(address, { width = 1280, scheme = 'light', script = true } = {}) {
  const page = await browser.newPage();
  page.wrong = [];
  page.asked = 0;
  page.on('console', (message) => page.wrong.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => page.wrong.push(`error: ${error.message}`));
  page.on('requestfailed', (request) => page.wrong.push(`failed: ${request.url()}`));
  page.on('response', (response) => response.ok() || page.wrong.push(`${response.status()}: ${response.url()}`));
  page.on('request', (request) => (page.asked += request.resourceType() === 'fetch' ? 1 : 0));
  page.on('dialog', (dialog) => page.wrong.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  await page.setJavaScriptEnabled(script);
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.evaluateOnNewDocument(() => {
    const now = Date.now.bind(Date);
    const timer = window.setInterval.bind(window);
    window.ahead = 0;
    Date.now = () => now() + window.ahead;
    window.setInterval = (act, pause) => {
      window.timer = { act, pause };
      return timer(act, pause);
    };
    window.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective}`));
  });
  await page.goto(address, { waitUntil: 'networkidle0' });
  return page;
}

const rows = (page) => page.$$eval('tbody tr', (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
const names = (page) => page.$$eval('tbody th', (all) => all.map((cell) => cell.querySelector('bdi').textContent));
const focused = (page) => page.evaluate(() => document.activeElement.textContent.slice(0, 40));
const summary = (page) => page.$eval('#summary', (part) => part.textContent);
const shows = (page, text) => page.evaluate((wanted) => document.querySelector('main').textContent.includes(wanted), text);
const tick = async (page) => {
  const idle = page.waitForNetworkIdle({ idleTime: 300 });
  await page.evaluate((pause) => {
    window.ahead += pause;
    window.timer.act();
  }, REFRESH);
  await idle;
};
const search = async (page, text) => {
  await page.$eval('#q', (field) => (field.value = ''));
  await page.focus('#q');
  const idle = page.waitForNetworkIdle({ idleTime: 600 });
  await page.keyboard.sendCharacter(text);
  await idle;
};

async function accessible(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run({ resultTypes: ['violations', 'incomplete', 'passes'] }));
  const violations = found.violations.map((rule) => [rule.id, rule.nodes.length, rule.nodes[0].html.slice(0, 120)]);
  check(violations.length === 0, `axe-core ${found.testEngine.version} finds nothing in ${found.passes.length} rules, ${where}`, violations);
  const unsure = found.incomplete.map((rule) => `${rule.id} (${rule.nodes.length})`);
  if (unsure.length) console.log(`       axe-core cannot decide: ${unsure.join(', ')}`);
}

async function looks(address, what) {
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      for (const script of [true, false]) {
        const page = await opened(address, { width, scheme, script });
        // axe-core needs scripts; the page's own have had their chance.
        await page.setJavaScriptEnabled(true);
        const where = `${what}, ${width} px, ${scheme}, ${script ? 'with' : 'without'} JavaScript`;
        await accessible(page, where);
        const [content, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
        check(content <= room, `nothing is wider than the window, ${where}`, [content, room]);
        check(page.wrong.length === 0, `no error, no violated policy, ${where}`, page.wrong);
        const tree = await structure(page);
        check(tree.every((count) => count > 0), `table, rows, row headers, cells and columns are told, ${where}`, tree);
        await page.close();
      }
    }
  }
}

// What a screen reader is told: how many there are of each part of a table.
async function structure(page) {
  const session = await page.createCDPSession();
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  await session.detach();
  const roles = nodes.filter((node) => !node.ignored).map((node) => node.role?.value);
  return ['table', 'row', 'rowheader', 'cell', 'columnheader'].map((role) => roles.filter((each) => each === role).length);
}

async function byKeyboard(address) {
  const page = await opened(address);
  const wanted = await page.$$eval('a[href], input:not([type=hidden]), button, summary', (all) => all.length);
  const reached = new Set();
  let unseen = 0;
  for (let press = 0; press < wanted + 5; press += 1) {
    await page.keyboard.press('Tab');
    const [place, outlined] = await page.evaluate(() => {
      const all = [...document.querySelectorAll('a[href], input:not([type=hidden]), button, summary')];
      const held = document.activeElement;
      return [all.indexOf(held), held === document.body || getComputedStyle(held).outlineStyle !== 'none'];
    });
    if (place >= 0) reached.add(place);
    unseen += outlined ? 0 : 1;
  }
  check(reached.size === wanted, `Tab alone reaches all ${wanted} links, fields and buttons`, reached.size);
  check(unseen === 0, 'each shows that it has the focus', unseen);
  await page.focus('#sort-clicks');
  const idle = page.waitForNetworkIdle({ idleTime: 300 });
  await page.keyboard.press('Enter');
  await idle;
  const clicks = (await rows(page)).map((cells) => (cells[6] === 'none' ? 0 : Number(cells[6].replaceAll(',', ''))));
  check(clicks.every((count, place) => place === 0 || clicks[place - 1] >= count), 'Enter on a column head sorts', clicks);
  check((await page.$eval('#sort-clicks', (link) => link.parentElement.ariaSort)) === 'descending', 'and its head says so');
  check((await focused(page)) === 'Clicks', 'and keeps the focus', await focused(page));
  await page.focus('summary');
  await page.keyboard.press('Enter');
  check(await page.$eval('details', (part) => part.open), 'Enter opens the configuration');
  await page.keyboard.press('Tab');
  check(await page.evaluate(() => document.activeElement.tagName === 'PRE'), 'and Tab scrolls in it');
  const shown = await page.$eval('pre', (part) => part.textContent);
  check(shown.includes('<hidden>') && !shown.includes('SG.'), 'it shows no key');
  check(page.wrong.length === 0, 'no error by keyboard', page.wrong);
  await page.close();
}

async function filters(address) {
  const page = await opened(address);
  const count = (await names(page)).length;
  for (const [kind, text, wanted] of [
    ['a name', 'bIRTHday', 'Birthday offer 2024'],
    ['an id', '000000000001', 'Summer sale'],
    ['a whole link', options.link, '</script><script>alert(1)</script>'],
    ['a part of a link', 'shop.example/idle', 'Summer sale'],
  ]) {
    await search(page, text);
    check((await names(page)).join() === wanted, `typing ${kind} leaves ${JSON.stringify(wanted)}`, await names(page));
  }
  await search(page, options.link);
  check(await shows(page, options.link), 'and shows the link with its clicks');
  check((await page.evaluate(() => document.activeElement.id)) === 'q', 'and the cursor stays in the field');
  check(new URL(page.url()).searchParams.get('q') === options.link, 'and the address says it, to be sent to others');
  await search(page, 'nobody has this');
  check(await shows(page, "No automation's name, id or links contain this."), 'what is nowhere is said to be nowhere');
  await search(page, '');
  await page.evaluate(() => document.querySelector('form').requestSubmit());
  await until(async () => (await names(page)).length === count, 'an empty field shows all of them again');
  check(page.wrong.length === 0, 'no error while searching', page.wrong);
  await page.close();

  const plain = await opened(address, { script: false });
  await plain.focus('#q');
  await plain.keyboard.sendCharacter(options.link);
  await Promise.all([plain.waitForNavigation(), plain.keyboard.press('Enter')]);
  check((await names(plain)).join() === '</script><script>alert(1)</script>', 'Enter finds the link without JavaScript', await names(plain));
  await Promise.all([plain.waitForNavigation(), plain.click('#sort-name')]);
  check(plain.url().includes('sort=name') && (await names(plain)).length === 1, 'a column head keeps the search without JavaScript');
  check(plain.wrong.length === 0, 'no error without JavaScript', plain.wrong);
  await plain.close();
}

async function refreshes(address) {
  const page = await opened(address);
  check((await page.evaluate(() => window.timer.pause)) === REFRESH, `it refreshes every ${REFRESH / 1000} s`);
  await page.evaluate(() => {
    window.part = document.getElementById('summary');
    window.opened = document.querySelector('details');
    document.querySelector('summary').click();
    document.querySelector('pre').scrollTop = 40;
  });
  const before = page.asked;
  for (const [what, selector] of [
    ['an automation', 'tbody tr:nth-child(3) a'],
    ['a column head', '#sort-links'],
    ['the configuration', 'summary'],
    ['its text', 'pre'],
  ]) {
    await page.focus(selector);
    const held = await focused(page);
    await tick(page);
    check((await focused(page)) === held, `the focus stays on ${what}`, [held, await focused(page)]);
  }
  check(page.asked === before + 4, 'each of four refreshes asks once', page.asked - before);
  check(await page.evaluate(() => window.opened.isConnected && window.opened.open), 'what was opened stays open');
  check((await page.$eval('pre', (part) => part.scrollTop)) === 40, 'and scrolled as it was');
  check(await page.evaluate(() => window.part.isConnected && window.part.role === 'status'), 'the part that is read aloud stays the same');

  await page.focus('#q');
  await page.keyboard.type('W');
  await page.waitForNetworkIdle({ idleTime: 600 });
  const typed = page.asked;
  await page.evaluate(() => window.timer.act());
  await new Promise((done) => setTimeout(done, 500));
  check(page.asked === typed, 'nothing is refreshed while somebody types');
  await tick(page);
  check(page.asked === typed + 1, 'but again half a minute later');
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector('h2')));
  await page.evaluate(() => {
    window.ahead += 60_000;
    window.timer.act();
  });
  await new Promise((done) => setTimeout(done, 500));
  check(page.asked === typed + 1, 'nothing is refreshed while text is selected');
  check(page.wrong.length === 0, 'no error while refreshing', page.wrong);
  await page.close();
}

// 3 a.m.: an alert says that clicks are missing, and somebody who does not know the exporter opens the page.
async function atNight(address) {
  const page = await opened(address);
  check(/^\(\d+\) /.test(await page.title()), 'the tab says how many are wrong', await page.title());
  check(/^\d+ automations: \d+ failing/.test(await summary(page)), 'the first sentence says what is wrong', await summary(page));
  const found = await rows(page);
  const [, state] = found[0];
  check(state.startsWith('failing'), 'the first row is one that fails', found[0]);
  const of = (name) => found.find(([head]) => head.includes(name)) ?? [];
  for (const [name, words] of [
    ['Win-back after 90 days', ['403', 'access forbidden', 'Next step:']],
    ['Birthday offer 2024', ['404', 'Next step:']],
    ['Trial to paid', ['failing', 'Next step:']],
    ['Loyalty milestones', ['failing, stale', '503', 'Next step:']],
    ['Back in stock', ['not polled yet']],
    ['Summer sale', ['idle']],
    ['Welcome series', ['up to date']],
  ]) {
    check(words.every((word) => of(name)[1]?.includes(word)), `${name}: ${words.join(', ')}`, of(name)[1]);
  }
  await search(page, options.link);
  check((await rows(page))[0][0].includes(options.link), 'a link pasted from the mail leads to its automation');
  const way = await page.$eval('tbody a', (link) => [link.href, link.rel]);
  check(/^https:\/\/mc\.sendgrid\.com\/automations\/[0-9a-f-]{36}\/detail$/.test(way[0]), 'whose name leads to SendGrid', way);
  check(way[1] === 'noreferrer noopener', 'which learns nothing of the page it came from', way);
  await page.goto(address, { waitUntil: 'networkidle0' });
  await fetch(`${options.simulator}faults`, { method: 'DELETE' });
  await until(async () => {
    await tick(page);
    return !/failing/.test(await summary(page));
  }, 'once SendGrid answers again, the open page says so by itself', 90);
  check(!/^\(/.test(await page.title()), 'and the tab too', await page.title());
  check(page.wrong.length === 0, 'no error at night', page.wrong);

  process.kill(Number(options.process), 'SIGTERM');
  await until(async () => fetch(address).then(() => false, () => true), 'the exporter stops');
  await page.evaluate(() => {
    window.ahead += 60_000;
    window.timer.act();
  });
  await until(() => page.$eval('#lost', (part) => /^Not refreshed since .*: the exporter does not answer\.$/.test(part.textContent)), 'a page that is no longer refreshed says so and since when');
  await page.close();
}

async function thousand(address) {
  const page = await opened(address);
  const [count, bytes] = await page.evaluate(async () => [document.querySelectorAll('tbody tr').length, (await (await fetch('')).text()).length]);
  check(count === 1000 && bytes < 300_000, `1,000 automations: ${bytes} characters`, [count, bytes]);
  const took = await page.evaluate(async () => {
    const fresh = new DOMParser().parseFromString(await (await fetch('')).text(), 'text/html');
    const start = performance.now();
    window.take(fresh);
    return performance.now() - start;
  });
  check(took < 1000, `1,000 automations: refreshed in ${took.toFixed(0)} ms of the browser`, took);
  check(page.wrong.length === 0, 'no error with 1,000 automations', page.wrong);
  await page.close();
}

async function pictures(address) {
  await mkdir(options.pictures, { recursive: true });
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      const page = await opened(address, { width, scheme });
      await page.setViewport({ width, height: width < 700 ? 1000 : 720 });
      const path = join(options.pictures, `status-${width}-${scheme}.png`);
      await page.screenshot({ path, optimizeForSpeed: false });
      const { size } = await stat(path);
      check(size < LARGEST_PICTURE, `the picture of ${width} px, ${scheme} is small`, size);
      await page.close();
    }
  }
}

console.log(`${await browser.version()}, the status page at ${WIDTHS.join(' and ')} px\n`);
try {
  await until(async () => {
    const { automations } = await (await fetch(`${options.troubled}status.json`)).json();
    const said = automations.map((each) => `${each.state}${each.is_stale ? ' stale' : ''}`);
    return ['failing', 'failing stale', 'waiting', 'idle', 'ok'].every((state) => said.includes(state));
  }, 'the automations are in all states');
  await looks(options.troubled, 'troubles');
  await looks(options.refused, 'a refused key');
  await byKeyboard(options.troubled);
  await filters(options.troubled);
  await refreshes(options.troubled);
  await pictures(options.troubled);
  await thousand(options.thousand);
  await atNight(options.troubled);
} finally {
  await browser.close();
}
console.log(`\n${findings} findings`);
process.exitCode = findings ? 1 : 0;
