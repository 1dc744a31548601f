// Elements, canvases and numbers. Text goes in as text: a name of a file may be hostile.

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== ""));
  return made;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const show = (id, ...children) => document.getElementById(id).replaceChildren(...children.flat(Infinity).filter(Boolean));

const number = (x) => (x === 0 ? "0" : Math.abs(x) >= 1e8 || Math.abs(x) < 1e-5 ? x.toExponential(3) : String(Number(x.toPrecision(5))));
const percent = (x) => `${(100 * x).toFixed(1)} %`;
const bytes = (n) => (n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : `${(n / 1e6).toFixed(2)} MB`);
const sizes = (shape) => shape.join(" × ");

// Zero is black, positive values go to white, negative ones to blue.
function paint(pixels, at, value, limit) {
  const size = Math.min(1, Math.abs(value) / limit);
  pixels[at] = 255 * size * (value < 0 ? 0.25 : 1);
  pixels[at + 1] = 255 * size * (value < 0 ? 0.55 : 0.97);
  pixels[at + 2] = 255 * size * (value < 0 ? 1 : 0.88);
  pixels[at + 3] = 255;
}

function canvasOf(width, height, label) {
  return h("canvas", { width, height, role: "img", "aria-label": label });
}

function mapCanvas({ height, width, values }, limit, label) {
  const canvas = canvasOf(width, height, label), context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  values.forEach((value, i) => paint(image.data, 4 * i, value, limit));
  context.putImageData(image, 0, 0);
  return canvas;
}

// A box over a canvas, in pixels of the canvas.
function place(mark, canvas, x, y, width, height) {
  const share = (part, whole) => `${(100 * part) / whole}%`;
  mark.style.left = share(x, canvas.width);
  mark.style.top = share(y, canvas.height);
  mark.style.width = share(width, canvas.width);
  mark.style.height = share(height, canvas.height);
}

// Call moved(x, y) for the pixel under the pointer, and for the arrow keys when the canvas has focus.
function onPixel(canvas, start, moved) {
  let [x, y] = start;
  const go = (newX, newY) => {
    x = Math.max(0, Math.min(canvas.width - 1, newX));
    y = Math.max(0, Math.min(canvas.height - 1, newY));
    moved(x, y);
  };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    go(Math.floor(((event.clientX - box.left) / box.width) * canvas.width),
      Math.floor(((event.clientY - box.top) / box.height) * canvas.height));
  };
  canvas.tabIndex = 0;
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    go(x + by[0], y + by[1]);
  });
  go(x, y);
}

// Bars with a label below each; rows are [{label, parts: [{value, style, title}], here}].
function bars(groups, label) {
  const width = groups.length > 9 ? 300 : 170, height = width * 0.4, each = width / groups.length;
  const all = groups.flatMap(({ parts }) => parts.map(({ value }) => value));
  const top = Math.max(0, ...all), bottom = Math.min(0, ...all), span = top - bottom || 1;
  const at = (value) => 4 + ((top - value) / span) * (height - 8);
  const drawn = groups.flatMap(({ label: name, parts, here }, i) => [
    ...parts.map(({ value, style, title }, j) => {
      const wide = (each * 0.8) / parts.length;
      return s("rect", { x: i * each + each * 0.1 + j * wide, y: Math.min(at(value), at(0)), width: wide,
        height: Math.max(0.5, Math.abs(at(value) - at(0))), class: here ? `${style} here` : style },
      s("title", {}, title ?? number(value)));
    }),
    s("text", { x: (i + 0.5) * each, y: height + 12 }, name),
  ]);
  return s("svg", { viewBox: `-10 0 ${width + 20} ${height + 18}`, class: "bars", role: "img", "aria-label": label },
    drawn, s("line", { x1: 0, x2: width, y1: at(0), y2: at(0) }));
}
