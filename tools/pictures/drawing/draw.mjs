// Draw dashboards to PNG files, with Grafana's components in a browser that asks a real Prometheus.
//   node draw.mjs --prometheus URL --end SECONDS --out FOLDER [--width PIXELS]... [--var NAME=VALUE]... FILE...
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, extname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import puppeteer from 'puppeteer-core';
import UPNG from 'upng-js';

const HERE = import.meta.dirname;
const ICONS = join(HERE, 'node_modules/@grafana/ui/dist/public/img/icons');
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const PAGE =
  '<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="/page.css"><div id="root"></div>' +
  '<script type="module" src="/page.js"></script>';

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

async function bundled() {
  const { outputFiles } = await build({
    entryPoints: [join(HERE, 'src/page.jsx')],
    bundle: true,
    write: false,
    outdir: 'bundle',
    format: 'esm',
    jsx: 'automatic',
    loader: { '.ttf': 'empty', '.woff': 'dataurl', '.woff2': 'dataurl', '.svg': 'dataurl' },
    define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis', __webpack_public_path__: '""' },
    alias: { stream: join(HERE, 'src/nothing.js') },
    logLevel: 'error',
  });
  return Object.fromEntries(outputFiles.map((file) => [`/${basename(file.path)}`, file.contents]));
}

async function answered(request, assets) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname.startsWith('/api/v1/')) {
    const headers = { 'content-type': request.headers['content-type'] };
    const answer = await fetch(options.prometheus + pathname, { method: 'POST', headers, body: await buffer(request) });
    return [answer.status, 'application/json', await answer.text()];
  }
  if (pathname === '/') {
    return [200, 'text/html', PAGE];
  }
  const icon = /\/img\/icons\/([\w/-]+\.svg)$/.exec(pathname);
  const content = assets[pathname] ?? (icon && (await readFile(join(ICONS, icon[1])).catch(() => null)));
  return content ? [200, TYPES[extname(pathname)], content] : [404, 'text/plain', 'not found'];
}

async function served(assets) {
  const server = createServer(async (request, response) => {
    const [status, type, content] = await answered(request, assets);
    response.writeHead(status, { 'content-type': type }).end(content);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function drawn(browser, address, dashboard, width) {
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.setViewport({ width, height: 1000 });
  await page.goto(address);
  await page.waitForFunction(() => window.draw);
  const to = Number(options.end);
  const view = {
    dashboard,
    from: to - Number(options.days) * 86400,
    to,
    width,
    scrapeInterval: Number(options['scrape-interval']),
    variables: Object.fromEntries(options.var.map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
  };
  const picture = await page.evaluate((wanted) => window.draw(wanted), view);
  await page.setViewport({ width, height: picture.height });
  await page.waitForFunction(() => window.drawn(), { timeout: 120_000 });
  await page.waitForNetworkIdle({ idleTime: 1000 });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const path = join(options.out, `${dashboard.uid}-${width}.png`);
  await writeFile(path, small(await page.screenshot({ clip: { x: 0, y: 0, width, height: picture.height } })));
  await page.close();
  console.log(path);
  return [...errors, ...picture.errors].map((error) => `${dashboard.uid}: ${error}`);
}

// The picture in 256 colours, in less than half of the bytes.
function small(png) {
  const image = UPNG.decode(png.buffer.slice(png.byteOffset, png.byteOffset + png.byteLength));
  return Buffer.from(UPNG.encode([UPNG.toRGBA8(image)[0]], image.width, image.height, 256));
}

const server = await served(await bundled());
const browser = await puppeteer.launch({
  executablePath: options.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
await mkdir(options.out, { recursive: true });
for (const file of files) {
  const dashboard = JSON.parse(await readFile(file, 'utf-8'));
  for (const width of options.width.map(Number)) {
    const errors = await drawn(browser, `http://127.0.0.1:${server.address().port}/`, dashboard, width);
    errors.forEach((error) => console.error(error));
    process.exitCode ||= errors.length ? 1 : 0;
  }
}
await browser.close();
server.close();
