-- The books of schema 1 after the demo's script had played: what a released program left behind.
PRAGMA foreign_keys = OFF;
BEGIN TRANSACTION;
CREATE TABLE account (
    id TEXT PRIMARY KEY,
    livemode TEXT NOT NULL CHECK (livemode IN ('live', 'demo')),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    stopped INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "account" VALUES('acct_01M802CSQPF53VW456M6DE734V','demo','house','house',0,1795298846454331);
INSERT INTO "account" VALUES('acct_01M802CSR2FVHR67399GQHVCE1','demo','demo','customer',0,1795298846466449);
CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    digest TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "api_key" VALUES('key_01M802CSR4F20902T7YM6KZCFV','acct_01M802CSR2FVHR67399GQHVCE1','0f2a51006c259e06783078ffad7b31f5f3a80c7bb7fd07761edde9bd91e78cbc','{"id":"key_01M802CSR4F20902T7YM6KZCFV","account":"acct_01M802CSR2FVHR67399GQHVCE1","digest":"0f2a51006c259e06783078ffad7b31f5f3a80c7bb7fd07761edde9bd91e78cbc","prefix":"sk-tg-demo-QKY5m","name":"demo","livemode":"demo","requests_per_minute":null,"tokens_per_minute":null,"created_at":1795298846468483,"revoked_at":null}',NULL);
CREATE TABLE chain (
    batch INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO "chain" VALUES(1,1795298846470046,1,X'0000000000000000000000000000000000000000000000000000000000000000',X'2E3634D3B87616DA3F647E703C2A5E41B4377E3D4BA508C8AEA609F6C1373D9E');
INSERT INTO "chain" VALUES(2,1795298846792955,1,X'2E3634D3B87616DA3F647E703C2A5E41B4377E3D4BA508C8AEA609F6C1373D9E',X'E56053D05A6517E8B9A537BFEEF253EB8EE27AF6911F115D02F95DC7C4B81455');
INSERT INTO "chain" VALUES(3,1795298846809520,1,X'E56053D05A6517E8B9A537BFEEF253EB8EE27AF6911F115D02F95DC7C4B81455',X'D83A6CF798354A83F9135989CAB7D4878DF996D20DC04C38C087F93B33CDFAD1');
INSERT INTO "chain" VALUES(4,1795298848001167,1,X'D83A6CF798354A83F9135989CAB7D4878DF996D20DC04C38C087F93B33CDFAD1',X'589123CD61483DFDF280DCFD596C28C315A41BF66DE1C93034A7AE133A841731');
INSERT INTO "chain" VALUES(5,1795298848004386,1,X'589123CD61483DFDF280DCFD596C28C315A41BF66DE1C93034A7AE133A841731',X'90604B0C1E65EB9CB54088432698DAF9A71414D6AE0F2EE24513842940F8E6E8');
INSERT INTO "chain" VALUES(6,1795298848312068,1,X'90604B0C1E65EB9CB54088432698DAF9A71414D6AE0F2EE24513842940F8E6E8',X'0B9B0B8EBB1B42D680BE5F40BFF959B15E2B88434FBE43D27E64D3890AFED4F2');
INSERT INTO "chain" VALUES(7,1795298854342185,1,X'0B9B0B8EBB1B42D680BE5F40BFF959B15E2B88434FBE43D27E64D3890AFED4F2',X'3D0B617E579C938962B89C766FD1E0A5B25F5CF19BA216E3D2A243006C1C035D');
CREATE TABLE command (
    key TEXT PRIMARY KEY,
    payload_hash BLOB NOT NULL,
    outcome TEXT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    reason TEXT,
    approver TEXT,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "command" VALUES('account:acct_01M802CSQPF53VW456M6DE734V',X'07BD6B5779DFAE07AE6E4AA0281DE9B0EA9282FDB135443E9AE29DED7372F910','{"Ok":{"Account":{"id":"acct_01M802CSQPF53VW456M6DE734V","livemode":"demo","name":"house","role":"house","stopped":false,"created_at":1795298846454331}}}','admin-token','operator',NULL,NULL,1795298846454331);
INSERT INTO "command" VALUES('account:acct_01M802CSR2FVHR67399GQHVCE1',X'E1CEC5413E65D32F76AEC0B927CEE4E0338C2DF2E60B9B78078B5B70A68A8150','{"Ok":{"Account":{"id":"acct_01M802CSR2FVHR67399GQHVCE1","livemode":"demo","name":"demo","role":"customer","stopped":false,"created_at":1795298846466449}}}','admin-token','operator',NULL,NULL,1795298846466449);
INSERT INTO "command" VALUES('key:key_01M802CSR4F20902T7YM6KZCFV',X'193E2F348BED6CAA85FEABD2562E9CB2B8AFFC18F5729B471460D1B292703C58','{"Ok":"Done"}','admin-token','operator',NULL,NULL,1795298846468483);
INSERT INTO "command" VALUES('order:ord_01M802CT2CESMTCGS7EBDAABSY',X'8E1890ACBE715DC1BC1EEDC2A27494616EBD913747BEE95BF0608F843DECF48E','{"Ok":{"Order":{"order":{"id":"ord_01M802CT2CESMTCGS7EBDAABSY","account":"acct_01M802CSR2FVHR67399GQHVCE1","livemode":"demo","kind":{"kind":"wallet"},"amount":"10.00","state":"created","merchant":"demo","mchid":"1900028010","appid":"wxee654d045c60b9f8","code_url":null,"transaction_id":null,"payer":null,"lot":null,"refunded":"0.00","created_at":1795298846796228,"expires_at":1795299746796228,"paid_at":null,"timeline":[{"at":1795298846796228,"event":"created","source":"api","detail":null}]},"step":"Moved"}}}','key_01M802CSR4F20902T7YM6KZCFV','customer',NULL,NULL,1795298846796228);
INSERT INTO "command" VALUES('order:ord_01M802CVJAFWCV6BP7QQCXCJ2Y',X'E4F1ED8F521FFC1934EA00DA3524E17634C5208DA707A1CE3C142FC776D3BB31','{"Ok":{"Order":{"order":{"id":"ord_01M802CVJAFWCV6BP7QQCXCJ2Y","account":"acct_01M802CSR2FVHR67399GQHVCE1","livemode":"demo","kind":{"kind":"wallet"},"amount":"2.00","state":"created","merchant":"demo","mchid":"1900028010","appid":"wxee654d045c60b9f8","code_url":null,"transaction_id":null,"payer":null,"lot":null,"refunded":"0.00","created_at":1795298848330628,"expires_at":1795299748330628,"paid_at":null,"timeline":[{"at":1795298848330628,"event":"created","source":"api","detail":null}]},"step":"Moved"}}}','key_01M802CSR4F20902T7YM6KZCFV','customer',NULL,NULL,1795298848330628);
INSERT INTO "command" VALUES('prices:p-680c3aff0139',X'3435D9EA4D7384ECFF13AC1C0BA3E67674D61248DF728A90A8F23DAEBF1957E5','{"Ok":"Done"}','prices','system',NULL,NULL,1795298846458156);
INSERT INTO "command" VALUES('promo:trial:acct_01M802CSR2FVHR67399GQHVCE1',X'EDDFD3CD763408DEE98F8F39459C875B69FEF8EA0EA59E78108D8A968DC20C25','{"Ok":"Done"}','demo','system','a little money to begin with',NULL,1795298846470046);
INSERT INTO "command" VALUES('refund:rfb_01M802CV84FSRRP3MZV6E4EHEK',X'47651789D08761FB1AF16DC33A1F4C64CE2B3D2FF14D2C049C9AF260F0AF94FE','{"Ok":{"Refund":{"batch":{"id":"rfb_01M802CV84FSRRP3MZV6E4EHEK","account":"acct_01M802CSR2FVHR67399GQHVCE1","amount":"5.00","reason":"demo","state":"running","created_at":1795298848004386},"items":[{"id":"rfd_01M802CV84F68VH3AZXZSMY9NR","batch":"rfb_01M802CV84FSRRP3MZV6E4EHEK","account":"acct_01M802CSR2FVHR67399GQHVCE1","order":"ord_01M802CT2CESMTCGS7EBDAABSY","lot":"pay:01M802CT2CESMTCGS7EBDAABSY","amount":"5.00","units":5000000000,"state":"queued","refund_id":null,"detail":null,"created_at":1795298848004386,"sent_at":null,"ended_at":null}]}}}','key_01M802CSR4F20902T7YM6KZCFV','customer','demo',NULL,1795298848004386);
INSERT INTO "command" VALUES('refund:rfb_01M802CVJ4EJ3R3BR0EXAGPG2Y',X'5508D351158668422ABD0D4639B35923435E9FD38AFCC22E681EE6992F4B2D0B','{"Err":{"RefundTooMuch":{"requested":"100.00","refundable":"5.00"}}}','key_01M802CSR4F20902T7YM6KZCFV','customer',NULL,NULL,1795298848324171);
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY,
    batch INTEGER NOT NULL,
    tx TEXT NOT NULL,
    kind TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    account TEXT,
    lot TEXT,
    hold TEXT,
    pay_order TEXT,
    at INTEGER NOT NULL
) STRICT;
INSERT INTO "entry" VALUES(1,1,'promo:trial:acct_01M802CSR2FVHR67399GQHVCE1','promo_grant','promo_cost','w:promo','CNY',500000000,'acct_01M802CSR2FVHR67399GQHVCE1','promo:promo:trial:acct_01M802CSR2FVHR67399GQHVCE1',NULL,NULL,1795298846470046);
INSERT INTO "entry" VALUES(2,2,'settle:req_01M802CSREFGST0K31JJ4JC0ZW','settle','w:promo','revenue','CNY',278000,'acct_01M802CSR2FVHR67399GQHVCE1','promo:promo:trial:acct_01M802CSR2FVHR67399GQHVCE1','req_01M802CSREFGST0K31JJ4JC0ZW',NULL,1795298846792955);
INSERT INTO "entry" VALUES(3,3,'pay:1900028010:4200002815202611220000000001','pay_credit','wx:clearing','w:paid','CNY',10000000000,'acct_01M802CSR2FVHR67399GQHVCE1','pay:01M802CT2CESMTCGS7EBDAABSY',NULL,'ord_01M802CT2CESMTCGS7EBDAABSY',1795298846809520);
INSERT INTO "entry" VALUES(4,4,'settle:req_01M802CT3MF14AZ1YFZ08FMCFS','settle','w:promo','revenue','CNY',52890750,'acct_01M802CSR2FVHR67399GQHVCE1','promo:promo:trial:acct_01M802CSR2FVHR67399GQHVCE1','req_01M802CT3MF14AZ1YFZ08FMCFS',NULL,1795298848001167);
INSERT INTO "entry" VALUES(5,5,'refund:rfb_01M802CV84FSRRP3MZV6E4EHEK','refund_reserve','w:paid','w:refunding','CNY',5000000000,'acct_01M802CSR2FVHR67399GQHVCE1','pay:01M802CT2CESMTCGS7EBDAABSY',NULL,'ord_01M802CT2CESMTCGS7EBDAABSY',1795298848004386);
INSERT INTO "entry" VALUES(6,6,'refund:rfd_01M802CV84F68VH3AZXZSMY9NR','refund_done','w:refunding','wx:clearing','CNY',5000000000,'acct_01M802CSR2FVHR67399GQHVCE1','pay:01M802CT2CESMTCGS7EBDAABSY',NULL,'ord_01M802CT2CESMTCGS7EBDAABSY',1795298848312068);
INSERT INTO "entry" VALUES(7,7,'pay:1900028010:4200002815202611220000000003','pay_credit','wx:clearing','w:paid','CNY',2000000000,'acct_01M802CSR2FVHR67399GQHVCE1','pay:01M802CVJAFWCV6BP7QQCXCJ2Y',NULL,'ord_01M802CVJAFWCV6BP7QQCXCJ2Y',1795298854342185);
CREATE TABLE hold (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    api_key TEXT NOT NULL,
    state TEXT NOT NULL,
    model TEXT NOT NULL,
    money INTEGER NOT NULL CHECK (money >= 0),
    tokens_milli INTEGER NOT NULL CHECK (tokens_milli >= 0),
    quote TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    ended_at INTEGER,
    cost INTEGER NOT NULL CHECK (cost >= 0),
    cost_tokens_milli INTEGER NOT NULL CHECK (cost_tokens_milli >= 0 AND cost_tokens_milli <= tokens_milli),
    overrun INTEGER NOT NULL CHECK (overrun >= 0),
    usage TEXT,
    estimated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "hold" VALUES('req_01M802CSREFGST0K31JJ4JC0ZW','acct_01M802CSR2FVHR67399GQHVCE1','key_01M802CSR4F20902T7YM6KZCFV','settled','sim-fast',33172000,0,'{"price_version":"p-680c3aff0139","fx_id":null,"rates":{"input":2000,"cached_input":200,"cache_write":2000,"output":8000},"input_estimate":34}',1,1795298846480484,1795298846792955,278000,0,0,'{"input":15,"cached_input":0,"cache_write":0,"output":31,"reasoning":0}',0);
INSERT INTO "hold" VALUES('req_01M802CT3MF14AZ1YFZ08FMCFS','acct_01M802CSR2FVHR67399GQHVCE1','key_01M802CSR4F20902T7YM6KZCFV','settled','sim-luxury',1773710000,0,'{"price_version":"p-680c3aff0139","fx_id":"USD/CNY=7.123400@sim","rates":{"input":106850,"cached_input":10690,"cache_write":106850,"output":427400},"input_estimate":39}',1,1795298846836151,1795298848001167,52890750,0,0,'{"input":15,"cached_input":0,"cache_write":0,"output":120,"reasoning":0}',0);
CREATE TABLE lot (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    class TEXT NOT NULL,
    pay_order TEXT,
    orig INTEGER NOT NULL CHECK (orig > 0),
    rem INTEGER NOT NULL CHECK (rem >= 0),
    consumed INTEGER NOT NULL CHECK (consumed >= 0),
    refunding INTEGER NOT NULL CHECK (refunding >= 0),
    refunded INTEGER NOT NULL CHECK (refunded >= 0),
    expired INTEGER NOT NULL CHECK (expired >= 0),
    voided INTEGER NOT NULL CHECK (voided >= 0),
    paid_fen INTEGER NOT NULL CHECK (paid_fen >= 0),
    refunded_fen INTEGER NOT NULL CHECK (refunded_fen >= 0 AND refunded_fen <= paid_fen),
    refunds INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    FOREIGN KEY (account, asset) REFERENCES wallet (account, asset) DEFERRABLE INITIALLY DEFERRED,
    CHECK (orig = rem + consumed + refunding + refunded + expired + voided)
) STRICT, WITHOUT ROWID;
INSERT INTO "lot" VALUES('pay:01M802CT2CESMTCGS7EBDAABSY','acct_01M802CSR2FVHR67399GQHVCE1','CNY','paid','ord_01M802CT2CESMTCGS7EBDAABSY',10000000000,5000000000,0,0,5000000000,0,0,1000,500,1,1795298846000000,NULL);
INSERT INTO "lot" VALUES('pay:01M802CVJAFWCV6BP7QQCXCJ2Y','acct_01M802CSR2FVHR67399GQHVCE1','CNY','paid','ord_01M802CVJAFWCV6BP7QQCXCJ2Y',2000000000,2000000000,0,0,0,0,0,200,0,0,1795298848000000,NULL);
INSERT INTO "lot" VALUES('promo:promo:trial:acct_01M802CSR2FVHR67399GQHVCE1','acct_01M802CSR2FVHR67399GQHVCE1','CNY','promo',NULL,500000000,446831250,53168750,0,0,0,0,0,0,0,1795298846470046,NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO "meta" VALUES('epoch',1);
CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    merchant TEXT NOT NULL,
    subject TEXT NOT NULL,
    result TEXT NOT NULL,
    detail TEXT,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "notice" VALUES('EV-2026112206072602945623854924','demo','ord_01M802CT2CESMTCGS7EBDAABSY','applied',NULL,1795298846809520);
INSERT INTO "notice" VALUES('EV-2026112206072827829570386216','demo','ord_01M802CT2CESMTCGS7EBDAABSY','applied',NULL,1795298848312068);
CREATE TABLE pay_order (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    state TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    refunded_fen INTEGER NOT NULL CHECK (refunded_fen >= 0 AND refunded_fen <= amount_fen),
    transaction_id TEXT UNIQUE,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "pay_order" VALUES('ord_01M802CT2CESMTCGS7EBDAABSY','acct_01M802CSR2FVHR67399GQHVCE1','partially_refunded',1000,500,'4200002815202611220000000001','{"id":"ord_01M802CT2CESMTCGS7EBDAABSY","account":"acct_01M802CSR2FVHR67399GQHVCE1","livemode":"demo","kind":{"kind":"wallet"},"amount":"10.00","state":"partially_refunded","merchant":"demo","mchid":"1900028010","appid":"wxee654d045c60b9f8","code_url":"weixin://wxpay/bizpayurl?pr=CGwmyQCWE","transaction_id":"4200002815202611220000000001","payer":"o9nEHsSfUPnhmcEvKNBzPVwLO7DM","lot":"pay:01M802CT2CESMTCGS7EBDAABSY","refunded":"5.00","created_at":1795298846796228,"expires_at":1795299746796228,"paid_at":1795298846000000,"timeline":[{"at":1795298846796228,"event":"created","source":"api","detail":null},{"at":1795298846802662,"event":"pending","source":"wechat","detail":null},{"at":1795298846809520,"event":"paid","source":"notify","detail":"4200002815202611220000000001"},{"at":1795298846809520,"event":"credited","source":"notify","detail":"EV-2026112206072602945623854924"},{"at":1795298848312068,"event":"refunded","source":"wechat","detail":"5.00"}]}');
INSERT INTO "pay_order" VALUES('ord_01M802CVJAFWCV6BP7QQCXCJ2Y','acct_01M802CSR2FVHR67399GQHVCE1','paid',200,0,'4200002815202611220000000003','{"id":"ord_01M802CVJAFWCV6BP7QQCXCJ2Y","account":"acct_01M802CSR2FVHR67399GQHVCE1","livemode":"demo","kind":{"kind":"wallet"},"amount":"2.00","state":"paid","merchant":"demo","mchid":"1900028010","appid":"wxee654d045c60b9f8","code_url":"weixin://wxpay/bizpayurl?pr=44Oay3q7Y","transaction_id":"4200002815202611220000000003","payer":"o8lKeBhwg6DAMskkgxtME9Pinf1w","lot":"pay:01M802CVJAFWCV6BP7QQCXCJ2Y","refunded":"0.00","created_at":1795298848330628,"expires_at":1795299748330628,"paid_at":1795298848000000,"timeline":[{"at":1795298848330628,"event":"created","source":"api","detail":null},{"at":1795298848334654,"event":"pending","source":"wechat","detail":null},{"at":1795298854342185,"event":"paid","source":"query","detail":"4200002815202611220000000003"},{"at":1795298854342185,"event":"credited","source":"query","detail":null}]}');
CREATE TABLE price_list (
    version TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "price_list" VALUES('p-680c3aff0139',1795298846458156,'{"sim-fast":{"rates":{"input":2000,"cached_input":200,"cache_write":2000,"output":8000},"fx_id":null},"sim-flaky":{"rates":{"input":1000,"cached_input":1000,"cache_write":1000,"output":2000},"fx_id":null},"sim-luxury":{"rates":{"input":106850,"cached_input":10690,"cache_write":106850,"output":427400},"fx_id":"USD/CNY=7.123400@sim"},"sim-slow":{"rates":{"input":2000,"cached_input":2000,"cache_write":2000,"output":6000},"fx_id":null},"sim-smart":{"rates":{"input":4000,"cached_input":1000,"cache_write":4000,"output":16000},"fx_id":null}}');
CREATE TABLE refund_batch (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "refund_batch" VALUES('rfb_01M802CV84FSRRP3MZV6E4EHEK','acct_01M802CSR2FVHR67399GQHVCE1','done','{"id":"rfb_01M802CV84FSRRP3MZV6E4EHEK","account":"acct_01M802CSR2FVHR67399GQHVCE1","amount":"5.00","reason":"demo","state":"done","created_at":1795298848004386}');
CREATE TABLE refund_item (
    id TEXT PRIMARY KEY,
    batch TEXT NOT NULL REFERENCES refund_batch (id) DEFERRABLE INITIALLY DEFERRED,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "refund_item" VALUES('rfd_01M802CV84F68VH3AZXZSMY9NR','rfb_01M802CV84FSRRP3MZV6E4EHEK','acct_01M802CSR2FVHR67399GQHVCE1','success','{"id":"rfd_01M802CV84F68VH3AZXZSMY9NR","batch":"rfb_01M802CV84FSRRP3MZV6E4EHEK","account":"acct_01M802CSR2FVHR67399GQHVCE1","order":"ord_01M802CT2CESMTCGS7EBDAABSY","lot":"pay:01M802CT2CESMTCGS7EBDAABSY","amount":"5.00","units":5000000000,"state":"success","refund_id":"50300002042202611220000000002","detail":null,"created_at":1795298848004386,"sent_at":1795298848007057,"ended_at":1795298848312068}');
ANALYZE "sqlite_master";
INSERT INTO "sqlite_stat1" VALUES('command','command','9 1');
INSERT INTO "sqlite_stat1" VALUES('refund_batch','refund_batch_by_account','1 1');
INSERT INTO "sqlite_stat1" VALUES('refund_batch','refund_batch','1 1');
INSERT INTO "sqlite_stat1" VALUES('refund_item','refund_item_open','0 0');
INSERT INTO "sqlite_stat1" VALUES('refund_item','refund_item_by_batch','1 1');
INSERT INTO "sqlite_stat1" VALUES('refund_item','refund_item','1 1');
INSERT INTO "sqlite_stat1" VALUES('pay_order','pay_order_unpaid','0 0');
INSERT INTO "sqlite_stat1" VALUES('pay_order','pay_order_by_account','2 2');
INSERT INTO "sqlite_stat1" VALUES('pay_order','sqlite_autoindex_pay_order_2','2 1');
INSERT INTO "sqlite_stat1" VALUES('pay_order','pay_order','2 1');
INSERT INTO "sqlite_stat1" VALUES('hold','hold_open','0 0');
INSERT INTO "sqlite_stat1" VALUES('hold','hold','2 1');
INSERT INTO "sqlite_stat1" VALUES('lot','lot_live','3 3 3');
INSERT INTO "sqlite_stat1" VALUES('lot','lot','3 1');
INSERT INTO "sqlite_stat1" VALUES('entry','entry_by_account','7 7 1');
INSERT INTO "sqlite_stat1" VALUES('entry',NULL,'7');
INSERT INTO "sqlite_stat1" VALUES('notice','notice','2 1');
INSERT INTO "sqlite_stat1" VALUES('price_list','price_list','1 1');
INSERT INTO "sqlite_stat1" VALUES('meta','sqlite_autoindex_meta_1','1 1');
INSERT INTO "sqlite_stat1" VALUES('account','account','2 1');
INSERT INTO "sqlite_stat1" VALUES('wallet','wallet','1 1 1');
INSERT INTO "sqlite_stat1" VALUES('api_key','api_key_by_account','1 1');
INSERT INTO "sqlite_stat1" VALUES('api_key','sqlite_autoindex_api_key_2','1 1');
INSERT INTO "sqlite_stat1" VALUES('api_key','api_key','1 1');
CREATE TABLE wallet (
    account TEXT NOT NULL REFERENCES account (id),
    asset TEXT NOT NULL,
    posted INTEGER NOT NULL,
    held INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (account, asset),
    CHECK (held >= 0 AND posted >= held)
) STRICT, WITHOUT ROWID;
INSERT INTO "wallet" VALUES('acct_01M802CSR2FVHR67399GQHVCE1','CNY',7446831250,0,8);
CREATE INDEX api_key_by_account ON api_key (account);
CREATE INDEX lot_live ON lot (account, asset) WHERE rem > 0;
CREATE INDEX hold_open ON hold (account) WHERE state = 'open';
CREATE INDEX pay_order_by_account ON pay_order (account);
CREATE INDEX pay_order_unpaid ON pay_order (state) WHERE state IN ('created', 'pending');
CREATE INDEX refund_batch_by_account ON refund_batch (account);
CREATE INDEX refund_item_by_batch ON refund_item (batch);
CREATE INDEX refund_item_open ON refund_item (state) WHERE state IN ('queued', 'sent', 'processing', 'abnormal');
CREATE INDEX entry_by_account ON entry (account, seq) WHERE account IS NOT NULL;
CREATE TRIGGER entry_keeps BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER chain_keeps BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER chain_stays BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
COMMIT;
PRAGMA user_version = 1;
