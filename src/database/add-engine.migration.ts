import { Migration } from '@mikro-orm/migrations';

/** Adds which engine runs a run, and which process. For existing runs, the process is unknown. */
export class AddEngine extends Migration {
  override readonly name = '2026-02-add-engine';

  override up(): void {
    this.addSql(`
      alter table "run"
        add column "engine" text not null default 'process',
        add column "instance_id" uuid null,
        add constraint "run_engine_check" check ("engine" in ('process', 'queue'))`);
    this.addSql('alter table "run" alter column "engine" drop default');
    this.addSql('create index "run_state_index" on "run" ("state")');
  }

  override down(): void {
    this.addSql('drop index "run_state_index"');
    this.addSql('alter table "run" drop column "engine", drop column "instance_id"');
  }
}
