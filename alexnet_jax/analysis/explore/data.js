// What the page was given, and the values of a picture's activations.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const { net, pictures } = read("content");

// float16 -> number, for all 65536 of them.
const HALVES = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, rest = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -24 * rest);
});

// A packed array (packing.py) as {shape, values}.
async function unpack({ shape, scale, data }) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = raw.length / 2, values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = HALVES[raw[i] | (raw[count + i] << 8)] * scale;
  return { shape, values };
}

const stepOf = (name) => net.steps.find((step) => step.name === name);
const layerOf = (name) => net.layers.find((layer) => layer.name === name);

function once(make) {
  const kept = new Map();
  return (...key) => {
    const name = key.join(" ");
    if (!kept.has(name)) kept.set(name, make(...key));
    return kept.get(name);
  };
}

// A picture's activation: shape is (columns, channels, H, W) or (columns, units).
const activation = once(async (picture, name) => {
  const step = stepOf(name);
  if (step.stored) return unpack(read(`values-${picture}-${name}`));
  const input = await activation(picture, step.input);
  if (step.kind === "pool") return maxPool(input, step.pool.window, step.pool.stride, step.pool.ceil);
  return { shape: input.shape, values: input.values.map((x) => Math.max(0, x)) };
});
const kernelOf = once(async (layer) => {
  const { slices, inputs } = net.kernels[layer];
  return { ...(await unpack(slices)), inputs };
});
const weightShares = once((layer) => unpack(net.crossing[layer]));
const pictureShares = once((picture, layer) => unpack(pictures[picture].crossing[layer]));

// The same as alexnet_jax/net/pooling.py: a window that overhangs takes what is inside.
function maxPool({ shape, values }, window, stride, ceil) {
  const [columns, channels, height, width] = shape;
  const fit = (size) => 1 + Math[ceil ? "ceil" : "floor"]((size - window) / stride);
  const [rows, across] = [fit(height), fit(width)];
  const pooled = new Float32Array(columns * channels * rows * across);
  let at = 0;
  for (let map = 0; map < columns * channels; map++)
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < across; x++) {
        let most = -Infinity;
        for (let v = y * stride; v < Math.min(y * stride + window, height); v++)
          for (let u = x * stride; u < Math.min(x * stride + window, width); u++)
            most = Math.max(most, values[(map * height + v) * width + u]);
        pooled[at++] = most;
      }
  return { shape: [columns, channels, rows, across], values: pooled };
}

// One map of an activation, as {height, width, values}.
function mapOf({ shape, values }, column, channel) {
  const [, channels, height = 1, width = 1] = shape, size = height * width;
  const start = (column * channels + channel) * size;
  return { height, width, values: values.subarray(start, start + size) };
}

// The value below which about 99.5 % of the sizes are: full brightness for all maps of a layer.
// Of many values every k-th one counts, since sorting all of them would be felt.
function brightest(tensor) {
  if (tensor.limit === undefined) {
    const { values } = tensor, apart = Math.ceil(values.length / 30011);
    const sizes = Float32Array.from({ length: Math.ceil(values.length / apart) }, (_, i) => Math.abs(values[i * apart])).sort();
    tensor.limit = sizes[Math.floor(0.995 * (sizes.length - 1))] || sizes[sizes.length - 1] || 1;
  }
  return tensor.limit;
}

// The channels of a column, strongest (largest sum of squares) first.
function strongest(tensor, column) {
  tensor.strongest ??= [];
  tensor.strongest[column] ??= (() => {
    const energy = Float64Array.from({ length: tensor.shape[1] }, (_, channel) =>
      mapOf(tensor, column, channel).values.reduce((sum, x) => sum + x * x, 0));
    return [...energy.keys()].sort((a, b) => energy[b] - energy[a] || a - b);
  })();
  return tensor.strongest[column];
}

// Response normalization of one value (paper 3.3) with all its terms.
function normalized({ shape, values }, column, channel, y, x) {
  const [columns, channels, height, width] = shape;
  const { n, k, alpha, beta, scope } = net.lrn, whole = scope === "layer";
  const first = whole ? 0 : column * channels, last = whole ? columns * channels : first + channels;
  const here = column * channels + channel, reach = Math.floor(n / 2);
  const value = (index) => values[(index * height + y) * width + x];
  const terms = (centre) => {
    const inside = [];
    for (let i = Math.max(first, centre - reach); i <= Math.min(last - 1, centre + reach); i++) inside.push(i);
    const sum = inside.reduce((total, i) => total + value(i) ** 2, 0);
    const base = k + alpha * sum;
    return { inside, sum, base, denominator: base ** beta, after: value(centre) && value(centre) / base ** beta };
  };
  const own = terms(here);
  const neighbours = own.inside.map((i) =>
    ({ channel: i % channels, column: Math.floor(i / channels), before: value(i), after: terms(i).after, here: i === here }));
  return { ...own, before: value(here), neighbours };
}
