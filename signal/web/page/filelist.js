// The files and folders that the user selects or drops.

/** @typedef {import('./sending.js').Entry} Entry */

/**
 * Returns what a drop or a file field holds, folders with all that is in them.
 * @param {DataTransfer | HTMLInputElement} data
 */
export async function listed(data) {
  const items = 'items' in data ? [...data.items] : [];
  const entries = items.map(item => item.webkitGetAsEntry?.()).filter(entry => entry !== null && entry !== undefined);
  if (!entries.length) return [...data.files ?? []].map(file => ({name: file.name, file}));
  /** @type {Entry[]} */
  const list = [];
  for (const entry of entries) await walk(entry, entry.name, list);
  return list;
}

/** @param {FileSystemEntry} entry @param {string} name @param {Entry[]} list */
async function walk(entry, name, list) {
  if (entry.isFile) {
    const fileEntry = /** @type {FileSystemFileEntry} */ (entry);
    list.push({name, file: await new Promise((resolve, reject) => fileEntry.file(resolve, reject))});
    return;
  }
  list.push({name, dir: true});
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  for (;;) { // it gives at most a hundred at a time
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const e of some) await walk(e, `${name}/${e.name}`, list);
  }
}
