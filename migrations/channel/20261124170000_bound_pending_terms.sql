-- New search terms wait in a list that some later insert merges into the index: kept short, so that no message waits long for it.
alter index search_terms_by_term set (gin_pending_list_limit = 128);
comment on column search_terms.subject is 'Whom the terms lead to. A held message that leads to nobody stands here under its own id, by its link tokens: nobody finds it, but erasing the person does.';
comment on table spent is 'Nonces (scope = client/key id) and assertion ids (scope = assertion:client): each value once, across instances. Pruned after expires_at.';
