-- The tables of revision 0009 as PostgreSQL has them: what a new database begins with. Migrations after that run on both databases.

CREATE TABLE agreement (
  judge VARCHAR NOT NULL,
  task VARCHAR NOT NULL,
  against VARCHAR NOT NULL,
  n FLOAT NOT NULL,
  agreed FLOAT NOT NULL,
  score FLOAT NOT NULL,
  truth FLOAT NOT NULL,
  score_sq FLOAT NOT NULL,
  truth_sq FLOAT NOT NULL,
  product FLOAT NOT NULL,
  PRIMARY KEY (judge, task, against)
);

CREATE TABLE alert (
  id BIGSERIAL NOT NULL,
  ts FLOAT NOT NULL,
  kind VARCHAR NOT NULL,
  task VARCHAR NOT NULL,
  bucket VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  old_unit FLOAT,
  new_unit FLOAT,
  direction VARCHAR NOT NULL,
  reason VARCHAR NOT NULL,
  known VARCHAR,
  outcome VARCHAR,
  settled FLOAT,
  PRIMARY KEY (id)
);

CREATE TABLE api_key (
  id VARCHAR NOT NULL,
  digest VARCHAR NOT NULL,
  role VARCHAR NOT NULL,
  email VARCHAR NOT NULL,
  label VARCHAR NOT NULL,
  status VARCHAR NOT NULL,
  created FLOAT NOT NULL,
  changed FLOAT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (digest)
);

CREATE INDEX ix_api_key_email ON api_key (email);

CREATE TABLE calibration (
  id VARCHAR NOT NULL,
  created FLOAT NOT NULL,
  changed FLOAT NOT NULL,
  state VARCHAR NOT NULL,
  note VARCHAR NOT NULL,
  max_usd FLOAT NOT NULL,
  estimate_usd FLOAT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE counter (
  name VARCHAR NOT NULL,
  value BIGINT NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE decision (
  seq BIGSERIAL NOT NULL,
  id VARCHAR NOT NULL,
  ts FLOAT NOT NULL,
  request_id VARCHAR NOT NULL,
  key_id VARCHAR NOT NULL,
  conversation VARCHAR NOT NULL,
  task VARCHAR NOT NULL,
  difficulty VARCHAR NOT NULL,
  bucket VARCHAR NOT NULL,
  classified_by VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  mode VARCHAR NOT NULL,
  reason VARCHAR NOT NULL,
  propensity FLOAT,
  quality FLOAT,
  quality_source VARCHAR NOT NULL,
  quality_reason VARCHAR NOT NULL,
  cost_pico BIGINT,
  answer_cost_pico BIGINT,
  classifier_cost_pico BIGINT,
  judge_cost_pico BIGINT,
  cost_state VARCHAR NOT NULL,
  baseline_pico BIGINT,
  prompt_tokens BIGINT,
  completion_tokens BIGINT,
  tokens_needed BIGINT,
  eligible_models BIGINT NOT NULL,
  latency_ms FLOAT,
  first_byte_ms FLOAT,
  overhead_ms FLOAT NOT NULL,
  stream BOOLEAN NOT NULL,
  status VARCHAR NOT NULL,
  error_code VARCHAR NOT NULL,
  cache VARCHAR NOT NULL,
  failover_from VARCHAR,
  cascaded_from VARCHAR,
  rejected VARCHAR,
  asked_tokens BIGINT,
  beyond_pico BIGINT,
  PRIMARY KEY (seq),
  UNIQUE (id)
);

CREATE TABLE decision_trace (
  id VARCHAR NOT NULL,
  ts FLOAT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE feedback (
  id BIGSERIAL NOT NULL,
  ts FLOAT NOT NULL,
  decision_id VARCHAR,
  key_id VARCHAR NOT NULL,
  bucket VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  rating VARCHAR NOT NULL,
  score FLOAT,
  owner VARCHAR NOT NULL,
  conversation VARCHAR NOT NULL,
  counted BOOLEAN NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX ix_feedback_decision_id ON feedback (decision_id);

CREATE INDEX ix_feedback_owner ON feedback (owner);

CREATE TABLE late_grade (
  id BIGSERIAL NOT NULL,
  key_id VARCHAR NOT NULL,
  start BIGINT NOT NULL,
  bucket VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  mode VARCHAR NOT NULL,
  judge_pico BIGINT NOT NULL,
  graded BIGINT NOT NULL,
  quality_sum FLOAT NOT NULL,
  quality_sq FLOAT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE listed_by_key (
  key_id VARCHAR NOT NULL,
  seq BIGINT NOT NULL,
  task VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  mode VARCHAR NOT NULL,
  PRIMARY KEY (key_id, seq)
);

CREATE TABLE listed_by_mode (
  mode VARCHAR NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (mode, seq)
);

CREATE TABLE listed_by_model (
  model VARCHAR NOT NULL,
  seq BIGINT NOT NULL,
  mode VARCHAR NOT NULL,
  PRIMARY KEY (model, seq)
);

CREATE TABLE listed_by_status (
  status VARCHAR NOT NULL,
  seq BIGINT NOT NULL,
  key_id VARCHAR NOT NULL,
  task VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  mode VARCHAR NOT NULL,
  PRIMARY KEY (status, seq)
);

CREATE TABLE listed_by_task (
  task VARCHAR NOT NULL,
  seq BIGINT NOT NULL,
  model VARCHAR NOT NULL,
  mode VARCHAR NOT NULL,
  PRIMARY KEY (task, seq)
);

CREATE TABLE policy_state (
  key VARCHAR NOT NULL,
  value BYTEA NOT NULL,
  PRIMARY KEY (key)
);

CREATE TABLE rollup (
  resolution BIGINT NOT NULL,
  key_id VARCHAR NOT NULL,
  start BIGINT NOT NULL,
  model VARCHAR NOT NULL,
  mode VARCHAR NOT NULL,
  bucket VARCHAR NOT NULL,
  calls BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  aborted BIGINT NOT NULL,
  cost_pico BIGINT NOT NULL,
  classifier_pico BIGINT NOT NULL,
  judge_pico BIGINT NOT NULL,
  baseline_pico BIGINT NOT NULL,
  compared_pico BIGINT NOT NULL,
  compared BIGINT NOT NULL,
  settled BIGINT NOT NULL,
  computed BIGINT NOT NULL,
  estimated BIGINT NOT NULL,
  unknown BIGINT NOT NULL,
  graded BIGINT NOT NULL,
  quality_sum FLOAT NOT NULL,
  quality_sq FLOAT NOT NULL,
  prompt_tokens BIGINT NOT NULL,
  completion_tokens BIGINT NOT NULL,
  latency_sum FLOAT NOT NULL,
  latency_n BIGINT NOT NULL,
  overhead_sum FLOAT NOT NULL,
  asked BIGINT NOT NULL,
  sized BIGINT NOT NULL,
  asked_tokens BIGINT NOT NULL,
  priced BIGINT NOT NULL,
  beyond_pico BIGINT NOT NULL,
  beyond_sq FLOAT NOT NULL,
  PRIMARY KEY (resolution, key_id, start, model, mode, bucket)
);

CREATE TABLE slot (
  resolution BIGINT NOT NULL,
  key_id VARCHAR NOT NULL,
  start BIGINT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (resolution, key_id, start)
);

CREATE TABLE span (
  last BIGSERIAL NOT NULL,
  first BIGINT NOT NULL,
  earliest FLOAT NOT NULL,
  latest FLOAT NOT NULL,
  PRIMARY KEY (last)
);

CREATE TABLE statistic (
  bucket VARCHAR NOT NULL,
  model VARCHAR NOT NULL,
  calls FLOAT NOT NULL,
  tries FLOAT NOT NULL,
  graded FLOAT NOT NULL,
  quality_sum FLOAT NOT NULL,
  quality_sq FLOAT NOT NULL,
  votes FLOAT NOT NULL,
  votes_sum FLOAT NOT NULL,
  cost_n FLOAT NOT NULL,
  cost_usd FLOAT NOT NULL,
  cost_sq FLOAT NOT NULL,
  unit_n FLOAT NOT NULL,
  unit_sum FLOAT NOT NULL,
  unit_sq FLOAT NOT NULL,
  tokens_in FLOAT NOT NULL,
  tokens_out FLOAT NOT NULL,
  latency_n FLOAT NOT NULL,
  latency_ms FLOAT NOT NULL,
  explore_n FLOAT NOT NULL,
  explore_usd FLOAT NOT NULL,
  sized_n FLOAT NOT NULL,
  sized_usd FLOAT NOT NULL,
  sized_sq FLOAT NOT NULL,
  size_sum FLOAT NOT NULL,
  size_sq FLOAT NOT NULL,
  size_usd FLOAT NOT NULL,
  PRIMARY KEY (bucket, model)
);

CREATE TABLE usage (
  key_id VARCHAR NOT NULL,
  kind VARCHAR NOT NULL,
  start FLOAT NOT NULL,
  used BIGINT NOT NULL,
  PRIMARY KEY (key_id, kind)
);
