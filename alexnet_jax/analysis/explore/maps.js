// All maps of a step, a sheet for each column, on one scale.

function sheets(tensor, state, select) {
  const columns = [...Array(tensor.shape[0]).keys()], limit = brightest(tensor);
  const flat = tensor.shape.length === 2;
  const order = (column) => (state.strongest ? strongest(tensor, column) : [...Array(tensor.shape[1]).keys()]);
  const made = columns.map((column) => sheet(tensor, column, order(column), limit, select));
  const figures = columns.map((column) => {
    const title = columns.length < net.columns ? "Of no column" : `Column ${column + 1}`;
    return h("div", {}, h("h3", {}, title), made[column].element);
  });
  const what = flat ? `${tensor.shape[1].toLocaleString("en")} units` : `${tensor.shape[1]} maps of ${sizes(tensor.shape.slice(2))}`;
  const scale = `${what} a column. One scale for all: white is ${number(limit)} and above (about 99.5 % of the values are below); blue is negative. Values have 11 bits.`;
  return {
    element: [h("div", { class: "columns" }, figures), h("p", { class: "remark" }, scale)],
    mark: (column, channel) => made.forEach((one, k) => one.mark(k === column ? channel : -1)),
  };
}

function sheet(tensor, column, order, limit, select) {
  const [, count, height = 1, width = 1] = tensor.shape, gap = height * width > 1 ? 1 : 0;
  const across = Math.min(count, Math.ceil(Math.sqrt(count * (gap ? 1.4 : 3))));
  const rows = Math.ceil(count / across), [stepX, stepY] = [width + gap, height + gap];
  const canvas = canvasOf(across * stepX - gap, rows * stepY - gap,
    `Maps of column ${column + 1}; arrow keys choose one`);
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  order.forEach((channel, index) => {
    const { values } = mapOf(tensor, column, channel);
    const left = (index % across) * stepX, top = Math.floor(index / across) * stepY;
    for (let i = 0; i < values.length; i++) {
      const at = (top + Math.floor(i / width)) * canvas.width + left + (i % width);
      paint(image.data, 4 * at, values[i], limit);
    }
  });
  context.putImageData(image, 0, 0);
  const mark = h("div", { class: "mark" });
  let index = 0;
  canvas.tabIndex = 0;
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((((event.clientX - box.left) / box.width) * canvas.width) / stepX);
    const y = Math.floor((((event.clientY - box.top) / box.height) * canvas.height) / stepY);
    if (order[y * across + x] !== undefined) select(column, order[y * across + x], true);
  });
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    select(column, order[Math.max(0, Math.min(count - 1, index + by))], false);
  });
  return {
    element: h("div", { class: "sheet" }, canvas, mark),
    mark(channel) {
      mark.hidden = channel < 0;
      if (channel < 0) return;
      index = order.indexOf(channel);
      place(mark, canvas, (index % across) * stepX, Math.floor(index / across) * stepY, width, height);
    },
  };
}
