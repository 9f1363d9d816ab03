// node server.js [FOLDER]: serves the application on 127.0.0.1, on the port in $PORT.
import {createServer} from 'node:http';
import {readFile} from 'node:fs/promises';
import {dirname, extname, join, normalize} from 'node:path';
import {fileURLToPath} from 'node:url';

const folder = process.argv[2] ?? dirname(fileURLToPath(import.meta.url));
const types = {'.html': 'text/html', '.js': 'text/javascript'};

createServer(async (request, response) => {
  try {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const file = path.endsWith('/') ? path + 'index.html' : path;
    const body = await readFile(join(folder, file));
    response.writeHead(200, {'content-type': types[extname(file)] ?? 'application/octet-stream'}).end(body);
  } catch {
    response.writeHead(404).end('not found');
  }
}).listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
