// As much of Telnet (RFC 854) and of its COM port option (RFC 2217) as a serial port needs.

const IAC = 0xff;
const DONT = 0xfe;
const DO = 0xfd;
const WONT = 0xfc;
const WILL = 0xfb;
const SB = 0xfa;
const SE = 0xf0;

const BINARY = 0;
const SUPPRESS_GO_AHEAD = 3;
const COM_PORT = 44;
const WANTED = [BINARY, SUPPRESS_GO_AHEAD, COM_PORT];

const SET_BAUDRATE = 1;
const SET_CONTROL = 5;
const CONTROL = { dtr: { true: 8, false: 9 }, rts: { true: 11, false: 12 } };

// What a client says at first.
export const greeting = Uint8Array.from(
  WANTED.flatMap((option) => [IAC, WILL, option, IAC, DO, option]),
);

export function escape(data) {
  return Uint8Array.from([...data].flatMap((byte) => (byte === IAC ? [IAC, IAC] : [byte])));
}

function comPort(code, value) {
  return Uint8Array.from([IAC, SB, COM_PORT, code, ...escape(value), IAC, SE]);
}

export function setBaudRate(rate) {
  const value = new Uint8Array(4);
  new DataView(value.buffer).setUint32(0, rate);
  return comPort(SET_BAUDRATE, value);
}

// line is "dtr" or "rts".
export function setLine(line, asserted) {
  return comPort(SET_CONTROL, [CONTROL[line][asserted]]);
}

// Takes what a server sends apart: what the port said, and what is to be answered.
export class Decoder {
  #state = "data";
  #verb = 0;

  feed(chunk) {
    const data = [];
    const answers = [];
    for (const byte of chunk) {
      switch (this.#state) {
        case "data":
          if (byte === IAC) this.#state = "command";
          else data.push(byte);
          break;
        case "command":
          this.#state = "data";
          if (byte === IAC) data.push(byte);
          else if (byte === SB) this.#state = "subnegotiation";
          else if ([WILL, WONT, DO, DONT].includes(byte)) {
            this.#verb = byte;
            this.#state = "option";
          }
          break;
        case "option":
          this.#state = "data";
          if (!WANTED.includes(byte) && this.#verb === DO) answers.push(IAC, WONT, byte);
          if (!WANTED.includes(byte) && this.#verb === WILL) answers.push(IAC, DONT, byte);
          break;
        case "subnegotiation":
          // Settings are acknowledged; there is nothing to learn from that.
          if (byte === IAC) this.#state = "end of subnegotiation";
          break;
        case "end of subnegotiation":
          this.#state = byte === SE ? "data" : "subnegotiation";
          break;
      }
    }
    return { data: Uint8Array.from(data), answers: Uint8Array.from(answers) };
  }
}
