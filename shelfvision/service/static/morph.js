// Makes one tree like another while keeping the nodes, so that focus, scroll and open folds stay.

/** Change `current` until it looks like `wanted`. Elements with an id keep their node wherever they move. */
export function morph(current, wanted) {
  const kept = new Map();
  for (const node of current.querySelectorAll("[id]")) kept.set(node.id, node);
  const wantedIds = new Set([...wanted.querySelectorAll("[id]")].map((node) => node.id));
  for (const id of kept.keys()) if (!wantedIds.has(id)) kept.delete(id);
  const used = new Set();
  morphNode(current, wanted);

  function morphNode(from, to) {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    morphAttributes(from, to);
    let cursor = from.firstChild;
    for (const target of to.childNodes) {
      let match = find(cursor, target);
      if (!match) {
        match = target.nodeType === Node.ELEMENT_NODE ? target.cloneNode(false) : target.cloneNode(true);
        from.insertBefore(match, cursor);
      } else if (match === cursor) {
        cursor = cursor.nextSibling;
      } else {
        place(from, match, cursor);
      }
      morphNode(match, target);
    }
    while (cursor) {
      const next = cursor.nextSibling;
      cursor.remove(); // one that is wanted elsewhere is still in `kept`
      cursor = next;
    }
  }

  function find(cursor, target) {
    if (target.id) {
      const match = kept.get(target.id);
      if (!match || used.has(match) || match.nodeName !== target.nodeName) return null;
      used.add(match);
      return match;
    }
    for (let node = cursor; node; node = node.nextSibling) {
      if (node.nodeType === target.nodeType && node.nodeName === target.nodeName && !node.id) return node;
    }
    return null;
  }
}

function place(parent, node, before) {
  if (parent.moveBefore && node.isConnected) parent.moveBefore(node, before); // keeps focus and animations
  else parent.insertBefore(node, before);
}

function morphAttributes(from, to) {
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    const byPerson = name === "open" && from.nodeName === "DETAILS";
    if (!to.hasAttribute(name) && !byPerson) from.removeAttribute(name);
  }
}
