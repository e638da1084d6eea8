import { setUpMisuses } from './misuses.js';
import { RunList } from './run-list.js';
import { RunPanel } from './run-panel.js';
import { setUpStartForm } from './start-form.js';

// The address names the run, so that it can be passed on, and the browser goes back to the one before.
const list = new RunList((id) => {
  location.hash = id;
});
const panel = new RunPanel(() => void list.refresh());

function openNamed() {
  const id = location.hash.slice(1);
  if (id !== '' && id !== 'main') {
    void panel.open(id);
  }
}

setUpStartForm(({ id }) => {
  location.hash = id;
  void list.refresh();
});
setUpMisuses();
addEventListener('hashchange', openNamed);
openNamed();
void list.refresh();
