// Draw dashboards to PNG files.
//   node draw.mjs --prometheus URL --end SECONDS --out FOLDER [--width PIXELS]... [--var NAME=VALUE]... FILE...
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    prometheus: { type: 'string' },
    end: { type: 'string' },
    days: { type: 'string', default: '7' },
    out: { type: 'string' },
    width: { type: 'string', multiple: true, default: ['1280', '2560'] },
    var: { type: 'string', multiple: true, default: [] },
    'scrape-interval': { type: 'string', default: '300' },
    chromium: { type: 'string', default: '/usr/bin/chromium' },
  },
});

const here = import.meta.dirname;
const bundle = await build({
  entryPoints: [join(here, 'src/page.jsx')],
  bundle: true,
  write: false,
  outdir: 'bundle',
  format: 'esm',
  jsx: 'automatic',
  loader: { '.ttf': 'empty', '.woff': 'dataurl', '.woff2': 'dataurl', '.svg': 'dataurl' },
  define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis', __webpack_public_path__: '""' },
  alias: { stream: join(here, 'src/nothing.js') },
  logLevel: 'error',
});
const assets = Object.fromEntries(bundle.outputFiles.map((file) => [`/${basename(file.path)}`, file.contents]));
const types = { js: 'text/javascript', css: 'text/css' };
const html = '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/page.css"><div id="root"></div><script type="module" src="/page.js"></script>';

const server = createServer(async (request, response) => {
  if (request.url.startsWith('/api/v1/')) {
    const chunks = await Array.fromAsync?.(request) ?? (await collected(request));
    const answer = await fetch(options.prometheus + request.url, {
      method: 'POST',
      headers: { 'content-type': request.headers['content-type'] },
      body: Buffer.concat(chunks),
    });
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
  } else if (assets[request.url]) {
    response.writeHead(200, { 'content-type': types[request.url.split('.').pop()] }).end(assets[request.url]);
  } else if (request.url === '/') {
    response.writeHead(200, { 'content-type': 'text/html' }).end(html);
  } else {
    const icon = /\/img\/icons\/([\w/-]+\.svg)/.exec(request.url);
    try {
      const svg = readFileSync(join(here, 'node_modules/@grafana/ui/dist/public/img/icons', icon[1]));
      response.writeHead(200, { 'content-type': 'image/svg+xml' }).end(svg);
    } catch {
      response.writeHead(404).end();
    }
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

async function collected(stream) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return chunks;
}

const browser = await puppeteer.launch({ executablePath: options.chromium, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] });
await mkdir(options.out, { recursive: true });
const to = Number(options.end);
let failed = false;
for (const file of files) {
  const dashboard = JSON.parse(readFileSync(file, 'utf-8'));
  for (const width of options.width.map(Number)) {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error(`${dashboard.uid}: ${error.message}`));
    page.on('console', (message) => message.type() === 'error' && process.env.VERBOSE && console.error(message.text()));
    await page.setViewport({ width, height: 1000 });
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => window.draw);
    const { height, errors } = await page.evaluate((view) => window.draw(view), {
      dashboard,
      from: to - Number(options.days) * 86400,
      to,
      width,
      scrapeInterval: Number(options['scrape-interval']),
      variables: Object.fromEntries(options.var.map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
    });
    await page.setViewport({ width, height });
    await page.waitForNetworkIdle({ idleTime: 500 });
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const path = join(options.out, `${dashboard.uid}-${width}.png`);
    await page.screenshot({ path, clip: { x: 0, y: 0, width, height } });
    console.log(path);
    errors.forEach((error) => console.error(`${dashboard.uid}: ${error}`));
    failed ||= errors.length > 0;
    await page.close();
  }
}
await browser.close();
server.close();
process.exitCode = failed ? 1 : 0;
