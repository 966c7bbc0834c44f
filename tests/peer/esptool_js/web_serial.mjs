// A port of the Web Serial API whose other end is a TCP port: rfc2217://HOST:PORT, with lines
// and baud rate, or socket://HOST:PORT, without.

import net from "node:net";
import { Decoder, escape, greeting, setBaudRate, setLine } from "./telnet.mjs";

export class TcpSerialPort extends EventTarget {
  readable = null;
  writable = null;
  #socket;
  #telnet;
  #reader = null;

  constructor(socket, telnet) {
    super();
    this.#socket = socket;
    this.#telnet = telnet;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("error", () => this.#end());
    socket.on("close", () => this.#end());
  }

  // Whose port it is: the connection lasts until disconnect(), over any open() and close().
  static async connect(url) {
    const { protocol, hostname, port } = new URL(url);
    const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const telnet = protocol === "rfc2217:" ? new Decoder() : null;
    if (telnet) socket.write(greeting);
    return new TcpSerialPort(socket, telnet);
  }

  disconnect() {
    this.#socket.destroy();
  }

  async open({ baudRate }) {
    if (this.readable) throw new DOMException("the port is open", "InvalidStateError");
    this.readable = new ReadableStream({
      start: (controller) => {
        this.#reader = controller;
      },
      cancel: () => {
        this.#reader = null;
      },
    });
    this.writable = new WritableStream({
      write: (chunk) => this.#send(this.#telnet ? escape(chunk) : chunk),
    });
    if (this.#telnet) await this.#send(setBaudRate(baudRate));
  }

  async close() {
    this.#end();
    this.readable = null;
    this.writable = null;
  }

  // What is not named stays as it is.
  async setSignals({ dataTerminalReady, requestToSend }) {
    if (!this.#telnet) return;
    if (dataTerminalReady !== undefined) await this.#send(setLine("dtr", dataTerminalReady));
    if (requestToSend !== undefined) await this.#send(setLine("rts", requestToSend));
  }

  async getSignals() {
    return {
      dataCarrierDetect: false,
      clearToSend: false,
      ringIndicator: false,
      dataSetReady: false,
    };
  }

  getInfo() {
    return {};
  }

  #receive(chunk) {
    const { data, answers } = this.#telnet
      ? this.#telnet.feed(chunk)
      : { data: new Uint8Array(chunk), answers: [] };
    if (answers.length) this.#socket.write(answers);
    if (data.length) this.#reader?.enqueue(data);
  }

  #send(data) {
    return new Promise((resolve, reject) => {
      this.#socket.write(data, (error) => (error ? reject(error) : resolve()));
    });
  }

  #end() {
    const reader = this.#reader;
    this.#reader = null;
    try {
      reader?.close();
    } catch {
      // The stream was closed already.
    }
  }
}
