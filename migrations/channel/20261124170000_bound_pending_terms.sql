-- New search terms wait in a list that some later insert merges into the index: kept short, so that no message waits long for it.
alter index search_terms_by_term set (gin_pending_list_limit = 128);
