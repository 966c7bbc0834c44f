// flash.mjs PACKAGE URL BEFORE OFFSET INPUT OUTPUT: have esptool-js, whose main module is PACKAGE,
// write a file to the flash of a device, read it back into another, and say what it found out.

import crypto from "node:crypto";
import fs from "node:fs";
import { pathToFileURL } from "node:url";
import { TcpSerialPort } from "./web_serial.mjs";

const [file, url, before, offset, input, output] = process.argv.slice(2);
const { ESPLoader, Transport } = await import(pathToFileURL(file));

const md5 = (data) => crypto.createHash("md5").update(data).digest("hex");
const log = (text) => process.stderr.write(text);
const terminal = { clean() {}, writeLine: (text) => log(`${text}\n`), write: log };

const port = await TcpSerialPort.connect(url);
const baudrate = url.startsWith("rfc2217:") ? 460800 : 115200;
const transport = new Transport(port, false);
const loader = new ESPLoader({ transport, baudrate, romBaudrate: 115200, terminal });

const chip = await loader.main(before);
const mac = await loader.chip.readMac(loader);
const flashId = await loader.readFlashId();
const data = new Uint8Array(fs.readFileSync(input));
await loader.writeFlash({
  fileArray: [{ data, address: Number(offset) }],
  flashMode: "keep",
  flashFreq: "keep",
  flashSize: "keep",
  eraseAll: false,
  compress: true,
  calculateMD5Hash: md5,
});
const digest = await loader.flashMd5sum(Number(offset), data.length);
fs.writeFileSync(output, await loader.readFlash(Number(offset), data.length));
// Its own hard reset only releases RTS, which nobody has asserted.
await loader.after("custom_reset", false, "D0|R1|W100|R0");
await transport.disconnect();
port.disconnect();
process.stdout.write(`${JSON.stringify({ chip, mac, flashId, digest })}\n`);
